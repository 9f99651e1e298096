#include "throw_away_certificate.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

#include "errors.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

using Key = std::unique_ptr<EVP_PKEY, FreeWith<&EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<&X509_free>>;

/// Clocks differ: it is valid from a little while ago.
constexpr std::chrono::seconds valid_before = 1h;
constexpr std::chrono::seconds valid_for = 24h;
constexpr int serial_bits = 127;  // positive, and 16 bytes at most

void check(bool done, std::string_view what) {
  if (done) return;
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  throw RunError(fmt::format("cannot make a certificate: {}: {}; give one by ?cert=FILE", what,
                             reason != nullptr ? reason : "OpenSSL gives no reason"));
}

void set_serial(X509* certificate) {
  const std::unique_ptr<BIGNUM, FreeWith<&BN_free>> number(BN_new());
  check(number != nullptr &&
            BN_rand(number.get(), serial_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
            BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
        "its number");
}

/// As subject and, since it signs itself, as issuer.
void set_name(X509* certificate, const std::string& name) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const auto* const text = reinterpret_cast<const unsigned char*>(name.data());
  check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text,
                                   static_cast<int>(name.size()), -1, 0) == 1 &&
            X509_set_issuer_name(certificate, subject) == 1,
        "its name");
}

void set_validity(X509* certificate) {
  check(X509_gmtime_adj(X509_getm_notBefore(certificate), -valid_before.count()) != nullptr &&
            X509_gmtime_adj(X509_getm_notAfter(certificate), valid_for.count()) != nullptr,
        "its dates");
}

void add_extension(X509* certificate, int kind, const std::string& text) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, FreeWith<&X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, text.c_str()));
  check(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, text);
}

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string text;
  for (const std::string& host : hosts) {
    if (!text.empty()) text += ',';
    text += weir::Address::parse(host, 0) ? "IP:" : "DNS:";
    text += host;
  }
  return text;
}

template <class Write>
std::string pem(Write write) {
  const std::unique_ptr<BIO, FreeWith<&BIO_free>> memory(BIO_new(BIO_s_mem()));
  check(memory != nullptr && write(memory.get()) == 1, "writing it");
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  check(X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1, "its fingerprint");
  std::string text;
  for (unsigned int index = 0; index < size; ++index) {
    text += fmt::format("{}{:02X}", index > 0 ? ":" : "", digest[index]);
  }
  return text;
}

}  // namespace

ThrowAwayCertificate make_throw_away_certificate(const std::vector<std::string>& hosts) {
  const Key key(EVP_EC_gen("P-256"));
  check(key != nullptr, "a key");
  const Certificate certificate(X509_new());
  X509* const made = certificate.get();
  check(made != nullptr && X509_set_version(made, X509_VERSION_3) == 1 &&
            X509_set_pubkey(made, key.get()) == 1,
        "its key");
  set_serial(made);
  set_name(made, "weir for tests");
  set_validity(made);
  add_extension(made, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(made, NID_key_usage, "critical,digitalSignature");
  add_extension(made, NID_ext_key_usage, "serverAuth");
  add_extension(made, NID_subject_key_identifier, "hash");
  add_extension(made, NID_subject_alt_name, alternative_names(hosts));
  check(X509_sign(made, key.get(), EVP_sha256()) > 0, "signing it");
  return {.certificate = pem([&](BIO* out) { return PEM_write_bio_X509(out, made); }),
          .private_key = pem([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          }),
          .fingerprint = fingerprint_of(made)};
}

}  // namespace weir_tool
