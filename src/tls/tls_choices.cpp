#include "tls_choices.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "openssl_handles.h"
#include "tls_errors.h"

namespace weir::inline v0::detail {
namespace {

/// Forward secrecy, and encryption that authenticates: what is left of TLS 1.2's without a known flaw.
constexpr const char* safe_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// Each of `names`, which colons separate.
std::vector<std::string> split(std::string_view names) {
  std::vector<std::string> found;
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t end = std::min(names.find(':', begin), names.size());
    found.emplace_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  return found;
}

/// Where a name is tried: OpenSSL skips what it does not know as long as it knows another of the list.
SslContextPtr make_scratch() {
  SslContextPtr scratch(SSL_CTX_new(TLS_method()));
  if (scratch == nullptr) throw std::bad_alloc();
  SSL_CTX_set_security_level(scratch.get(), 0);
  return scratch;
}

bool is_cipher_rule(SSL_CTX* scratch, std::string_view rule) {
  if (rule.starts_with('@')) return true;  // @STRENGTH: set_cipher_list() refuses an unknown one
  const std::size_t name = rule.find_first_not_of("!-+");
  if (name == std::string_view::npos) return false;
  const bool known = SSL_CTX_set_cipher_list(scratch, std::string(rule.substr(name)).c_str()) == 1;
  ERR_clear_error();
  return known;
}

bool is_cipher_suite(SSL_CTX* scratch, const std::string& name) {
  if (name.empty() || SSL_CTX_set_ciphersuites(scratch, name.c_str()) != 1) {
    ERR_clear_error();
    return false;
  }
  const STACK_OF(SSL_CIPHER)* const ciphers = SSL_CTX_get_ciphers(scratch);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    if (name == SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i))) return true;
  }
  return false;
}

[[noreturn]] void refuse(const std::string& field, const std::string& name,
                         const std::string& why) {
  throw std::invalid_argument("TlsOptions::" + field + ": \"" + name + "\" " + why);
}

}  // namespace

std::vector<unsigned char> alpn_list(const std::vector<std::string>& protocols) {
  constexpr std::size_t max_name = std::numeric_limits<unsigned char>::max();
  constexpr std::size_t max_list = std::numeric_limits<std::uint16_t>::max() - 2;
  std::vector<unsigned char> list;
  for (const std::string& name : protocols) {
    if (name.empty() || name.size() > max_name) {
      refuse("alpn", name, "has " + std::to_string(name.size()) + " bytes; 1 to 255 are possible");
    }
    list.push_back(static_cast<unsigned char>(name.size()));
    list.insert(list.end(), name.begin(), name.end());
  }
  if (list.size() > max_list) {
    throw std::invalid_argument("TlsOptions::alpn: more names than a handshake has room for");
  }
  return list;
}

void set_ciphers(SSL_CTX* context, const std::string& names) {
  if (!names.empty()) {
    const SslContextPtr scratch = make_scratch();
    for (const std::string& rule : split(names)) {
      if (!is_cipher_rule(scratch.get(), rule)) {
        refuse("ciphers", rule,
               is_cipher_suite(scratch.get(), rule) ? "is of TLS 1.3: it belongs in cipher_suites"
                                                    : "is no cipher of TLS 1.2 that OpenSSL knows");
      }
    }
  }
  if (SSL_CTX_set_cipher_list(context, names.empty() ? safe_ciphers : names.c_str()) != 1) {
    ERR_clear_error();
    refuse("ciphers", names, "leaves no cipher");
  }
}

void set_cipher_suites(SSL_CTX* context, const std::string& names) {
  if (names.empty()) return;
  const SslContextPtr scratch = make_scratch();
  for (const std::string& name : split(names)) {
    if (!is_cipher_suite(scratch.get(), name)) {
      refuse("cipher_suites", name, "is no cipher suite of TLS 1.3 that OpenSSL knows");
    }
  }
  if (SSL_CTX_set_ciphersuites(context, names.c_str()) != 1) {
    throw tls_error("TlsOptions::cipher_suites");
  }
}

}  // namespace weir::inline v0::detail
