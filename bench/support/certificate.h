// The certificate of every TLS server that is measured: made anew by each, so that no key lies in a
// file and none expires.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace bench {

/// Ends the program, with OpenSSL's reason, unless `done`.
inline void tls_check(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "%s: ", what);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

/// A private key of P-256 and a certificate for localhost that it signed itself, as PEM.
inline std::string self_signed_pem() {
  constexpr long an_hour = 3600;
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> pem(BIO_new(BIO_s_mem()), BIO_free);
  tls_check(key && certificate && pem, "making a key");

  X509_NAME* name = X509_get_subject_name(certificate.get());
  const auto* localhost = reinterpret_cast<const unsigned char*>("localhost");
  tls_check(X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -an_hour) != nullptr &&
                X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * an_hour) != nullptr &&
                X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, localhost, -1, -1, 0) == 1 &&
                X509_set_issuer_name(certificate.get(), name) == 1 &&
                X509_set_pubkey(certificate.get(), key.get()) == 1 &&
                X509_sign(certificate.get(), key.get(), EVP_sha256()) != 0 &&
                PEM_write_bio_PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                         nullptr) == 1 &&
                PEM_write_bio_X509(pem.get(), certificate.get()) == 1,
            "making a certificate");
  char* text = nullptr;
  const long size = BIO_get_mem_data(pem.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace bench
