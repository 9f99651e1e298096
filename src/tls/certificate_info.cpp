#include "certificate_info.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "openssl_handles.h"

namespace weir::inline v0::detail {
namespace {

using AlternativeName = PeerCertificate::AlternativeName;

std::string text_in(BIO* memory) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

std::string text_of(const X509_NAME* name) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  // UTF-8 stays as it is.
  const unsigned long flags = XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  if (memory == nullptr || X509_NAME_print_ex(memory.get(), name, 0, flags) < 0) return {};
  return text_in(memory.get());
}

std::string hexadecimal(const ASN1_INTEGER* number) {
  const std::unique_ptr<BIGNUM, FreeWith<&BN_free>> value(ASN1_INTEGER_to_BN(number, nullptr));
  if (value == nullptr) return {};
  char* const digits = BN_bn2hex(value.get());
  if (digits == nullptr) return {};
  std::string text = digits;
  OPENSSL_free(digits);
  return text;
}

std::chrono::sys_seconds moment(const ASN1_TIME* time) {
  using namespace std::chrono;
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  const sys_days date = year(parts.tm_year + 1900) /
                        month(static_cast<unsigned>(parts.tm_mon) + 1) /
                        day(static_cast<unsigned>(parts.tm_mday));
  return date + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

std::string text_of(const ASN1_STRING* text) {
  const unsigned char* const data = ASN1_STRING_get0_data(text);
  return std::string(data, data + ASN1_STRING_length(text));
}

/// "127.0.0.1", or an IPv6 address with all of its eight groups.
std::string text_of_address(const ASN1_OCTET_STRING* address) {
  const unsigned char* const bytes = ASN1_STRING_get0_data(address);
  const int size = ASN1_STRING_length(address);
  std::string text;
  if (size == 4) {
    for (int i = 0; i < 4; ++i) text.append(i == 0 ? "" : ".").append(std::to_string(bytes[i]));
  } else if (size == 16) {
    for (int i = 0; i < 16; i += 2) {
      std::array<char, 8> group{};
      std::snprintf(group.data(), group.size(), "%X", bytes[i] * 256 + bytes[i + 1]);
      text.append(i == 0 ? "" : ":").append(group.data());
    }
  }
  return text;
}

std::optional<AlternativeName> alternative_name(const GENERAL_NAME* name) {
  switch (name->type) {
    case GEN_DNS: return AlternativeName{"DNS", text_of(name->d.dNSName)};
    case GEN_IPADD: return AlternativeName{"IP Address", text_of_address(name->d.iPAddress)};
    case GEN_EMAIL: return AlternativeName{"email", text_of(name->d.rfc822Name)};
    case GEN_URI: return AlternativeName{"URI", text_of(name->d.uniformResourceIdentifier)};
    default: return std::nullopt;
  }
}

std::vector<AlternativeName> alternative_names(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeWith<&GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<AlternativeName> found;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    if (auto name = alternative_name(sk_GENERAL_NAME_value(names.get(), i))) {
      found.push_back(std::move(*name));
    }
  }
  return found;
}

std::vector<std::byte> der_of(const X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return {};
  std::vector<std::byte> der(static_cast<std::size_t>(size));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  return i2d_X509(certificate, &out) == size ? der : std::vector<std::byte>();
}

}  // namespace

PeerCertificate certificate_info(X509* certificate) {
  PeerCertificate info{
      .subject = text_of(X509_get_subject_name(certificate)),
      .issuer = text_of(X509_get_issuer_name(certificate)),
      .serial_number = hexadecimal(X509_get0_serialNumber(certificate)),
      .not_before = moment(X509_get0_notBefore(certificate)),
      .not_after = moment(X509_get0_notAfter(certificate)),
      .subject_alternative_names = alternative_names(certificate),
      .der = der_of(certificate),
  };
  ERR_clear_error();  // of what is strange in it
  return info;
}

std::optional<TlsCipher> cipher_info(const SSL* ssl) {
  const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl);
  if (cipher == nullptr) return std::nullopt;
  return TlsCipher{.name = SSL_CIPHER_get_name(cipher),
                   .version = SSL_CIPHER_get_version(cipher),
                   .bits = SSL_CIPHER_get_bits(cipher, nullptr)};
}

}  // namespace weir::inline v0::detail
