#include "tls_refusal.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace weir::inline v0::detail {
namespace {

/// Records of TLS begin with their type and a version whose first half has been 3 since 1996.
bool is_start_of_tls(std::string_view start) noexcept {
  const auto is_type = [](char type) {
    return type >= SSL3_RT_CHANGE_CIPHER_SPEC && type <= SSL3_RT_APPLICATION_DATA;
  };
  return start.empty() ||
         (is_type(start[0]) && (start.size() < 2 || start[1] == SSL3_VERSION_MAJOR));
}

bool is_start_of_http(std::string_view start) noexcept {
  static constexpr std::array<std::string_view, 10> starts{
      "HTTP/", "GET ", "POST ", "HEAD ", "PUT ", "PATCH", "DELET", "OPTIO", "CONNE", "PRI *"};
  return std::ranges::any_of(starts,
                             [&](std::string_view word) { return start.starts_with(word); });
}

std::string quoted_bytes(std::string_view bytes) {
  std::string text = "\"";
  for (const char byte : bytes) {
    if (byte >= ' ' && byte <= '~') {
      text += byte;
    } else {
      std::array<char, 5> code{};
      std::snprintf(code.data(), code.size(), "\\x%02x", static_cast<unsigned char>(byte));
      text += code.data();
    }
  }
  return text + '"';
}

/// Alerts of the peer are numbered among the library's reasons from here on.
bool is_alert(int reason) noexcept { return reason >= SSL_AD_REASON_OFFSET; }

bool is_alert_about_certificate(int reason) noexcept {
  switch (reason - SSL_AD_REASON_OFFSET) {
    case SSL3_AD_NO_CERTIFICATE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

/// The name or address that the peer's certificate had to be for; empty if any would do.
std::string expected_host(SSL* ssl) {
  X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl);
  if (const char* const name = X509_VERIFY_PARAM_get0_host(rules, 0)) return name;
  char* const address = X509_VERIFY_PARAM_get1_ip_asc(rules);
  if (address == nullptr) return {};
  std::string text = address;
  OPENSSL_free(address);
  return text;
}

}  // namespace

std::string what_failed(SSL* ssl, std::string_view start) {
  if (is_start_of_http(start)) return "the peer speaks HTTP, not TLS";
  if (!is_start_of_tls(start)) {
    return "the peer does not speak TLS, it began with " + quoted_bytes(start);
  }
  const unsigned long error = ERR_peek_error();
  const int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const std::string host = expected_host(ssl);
    return host.empty() ? "cannot trust the peer" : "cannot trust the peer to be " + host;
  }
  if (is_alert(reason)) {
    return is_alert_about_certificate(reason) ? "the peer refused our certificate"
                                              : "the peer ended the TLS connection";
  }
  return "TLS failed";
}

}  // namespace weir::inline v0::detail
