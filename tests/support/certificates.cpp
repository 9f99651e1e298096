#include "certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::test {
namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

void check(bool done, const char* what) {
  if (done) return;
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  throw std::runtime_error(std::string("test certificate: ") + what + ": " +
                           (reason != nullptr ? reason : "no reason given"));
}

Key new_key(bool weak) {
  Key key(weak ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256"), &EVP_PKEY_free);
  check(key != nullptr, "making a key");
  return key;
}

long next_serial() {
  static std::atomic<long> last = 0x1000;
  return ++last;
}

/// `write(memory)`, and what it wrote.
template <class Write>
std::string written(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
  check(memory != nullptr && write(memory.get()) == 1, "writing");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(X509* certificate) {
  return written([&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}

void set_name(X509* certificate, const std::string& common_name) {
  X509_NAME* const name = X509_get_subject_name(certificate);
  const auto add = [&](const char* field, const std::string& text) {
    check(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()), -1, 0) == 1,
          "setting the name");
  };
  add("O", "Weir");
  add("CN", common_name);
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& text) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, text.c_str()), &X509_EXTENSION_free);
  check(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, text.c_str());
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    const bool is_address = name.find_first_not_of("0123456789.") == std::string::npos ||
                            name.find(':') != std::string::npos;
    text.append(text.empty() ? "" : ",").append(is_address ? "IP:" : "DNS:").append(name);
  }
  return text;
}

bool set_time(ASN1_TIME* time, std::optional<std::chrono::seconds> from_now,
              const char* otherwise) {
  return from_now ? X509_gmtime_adj(time, static_cast<long>(from_now->count())) != nullptr
                  : ASN1_TIME_set_string_X509(time, otherwise) == 1;
}

}  // namespace

struct TestCertificate::Parts {
  Key key;
  Certificate certificate;
  std::shared_ptr<const Parts> issuer;  // null: itself
};

TestCertificate::TestCertificate(const CertificateOptions& options)
    : TestCertificate(options, nullptr) {}

TestCertificate TestCertificate::issue(const CertificateOptions& options) const {
  return TestCertificate(options, parts_);
}

TestCertificate::TestCertificate(const CertificateOptions& options,
                                 std::shared_ptr<const Parts> issuer) {
  const Key key = new_key(options.is_weak);
  const Certificate made(X509_new(), &X509_free);
  check(made != nullptr, "making a certificate");
  X509* const certificate = made.get();
  X509* const signer = issuer != nullptr ? issuer->certificate.get() : certificate;

  check(X509_set_version(certificate, X509_VERSION_3) == 1 &&
            ASN1_INTEGER_set(X509_get_serialNumber(certificate), next_serial()) == 1 &&
            set_time(X509_getm_notBefore(certificate), options.not_before, "20000101000000Z") &&
            set_time(X509_getm_notAfter(certificate), options.not_after, "20491231235959Z") &&
            X509_set_pubkey(certificate, key.get()) == 1,
        "filling it in");
  set_name(certificate, options.common_name);
  check(X509_set_issuer_name(certificate, X509_get_subject_name(signer)) == 1, "naming its issuer");

  const auto add = [&](int kind, const std::string& text) {
    add_extension(certificate, signer, kind, text);
  };
  add(NID_basic_constraints, options.is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add(NID_key_usage,
      options.is_authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  if (!options.is_authority)
    add(NID_ext_key_usage, options.is_client ? "clientAuth" : "serverAuth");
  if (options.has_key_identifiers) {
    add(NID_subject_key_identifier, "hash");
    if (issuer != nullptr) add(NID_authority_key_identifier, "keyid:always");
  }
  if (!options.names.empty()) add(NID_subject_alt_name, alternative_names(options.names));

  EVP_PKEY* const signing_key = issuer != nullptr ? issuer->key.get() : key.get();
  check(X509_sign(certificate, signing_key, EVP_sha256()) > 0, "signing");
  parts_ = std::make_shared<const Parts>(Parts{key, made, std::move(issuer)});
}

std::string TestCertificate::certificate() const { return pem_of(parts_->certificate.get()); }

std::string TestCertificate::chain() const {
  std::string text = certificate();
  for (const Parts* at = parts_->issuer.get(); at != nullptr && at->issuer != nullptr;
       at = at->issuer.get()) {
    text += pem_of(at->certificate.get());
  }
  return text;
}

std::string TestCertificate::key() const {
  return written([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, parts_->key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string TestCertificate::encrypted_key(const std::string& password) const {
  return written([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, parts_->key.get(), EVP_aes_256_cbc(),
                                    reinterpret_cast<const unsigned char*>(password.data()),
                                    static_cast<int>(password.size()), nullptr, nullptr);
  });
}

std::string TestCertificate::der() const {
  return written([&](BIO* out) { return i2d_X509_bio(out, parts_->certificate.get()); });
}

std::string TestCertificate::serial_number() const {
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(parts_->certificate.get()), nullptr), &BN_free);
  char* const digits = BN_bn2hex(number.get());
  check(digits != nullptr, "reading its number");
  std::string text = digits;
  OPENSSL_free(digits);
  return text;
}

std::string TestCertificate::revocation_list(const std::vector<TestCertificate>& revoked) const {
  const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(X509_CRL_new(), &X509_CRL_free);
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> begin(X509_gmtime_adj(nullptr, -3600),
                                                                    &ASN1_TIME_free);
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> end(X509_gmtime_adj(nullptr, 3600),
                                                                  &ASN1_TIME_free);
  X509_CRL* const crl = list.get();
  check(crl != nullptr && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
            X509_CRL_set_issuer_name(crl, X509_get_subject_name(parts_->certificate.get())) == 1 &&
            X509_CRL_set1_lastUpdate(crl, begin.get()) == 1 &&
            X509_CRL_set1_nextUpdate(crl, end.get()) == 1,
        "making a revocation list");
  for (const TestCertificate& one : revoked) {
    std::unique_ptr<X509_REVOKED, decltype(&X509_REVOKED_free)> entry(X509_REVOKED_new(),
                                                                      &X509_REVOKED_free);
    check(entry != nullptr &&
              X509_REVOKED_set_serialNumber(
                  entry.get(), X509_get_serialNumber(one.parts_->certificate.get())) == 1 &&
              X509_REVOKED_set_revocationDate(entry.get(), begin.get()) == 1 &&
              X509_CRL_add0_revoked(crl, entry.get()) == 1,
          "revoking");
    static_cast<void>(entry.release());
  }
  // RFC 5280 wants to know by which key it is signed.
  X509V3_CTX context;
  X509V3_set_ctx(&context, parts_->certificate.get(), nullptr, nullptr, crl, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"),
      &X509_EXTENSION_free);
  check(extension != nullptr && X509_CRL_add_ext(crl, extension.get(), -1) == 1,
        "naming the key of a revocation list");
  check(X509_CRL_sign(crl, parts_->key.get(), EVP_sha256()) > 0, "signing a revocation list");
  return written([&](BIO* out) { return PEM_write_bio_X509_CRL(out, crl); });
}

}  // namespace weir::test
