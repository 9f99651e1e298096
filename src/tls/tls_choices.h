#pragma once

#include <openssl/ssl.h>

#include <string>
#include <vector>

// What options say by names, made into what OpenSSL takes. Each throws std::invalid_argument for what is
// none of the names.
namespace weir::inline v0::detail {

/// `protocols` as a ClientHello has them (RFC 7301): each with its length before it.
std::vector<unsigned char> alpn_list(const std::vector<std::string>& protocols);

/// Sets the ciphers of TLS 1.2; the safe ones if `names` is empty.
void set_ciphers(SSL_CTX* context, const std::string& names);

/// Sets those of TLS 1.3; OpenSSL's if `names` is empty.
void set_cipher_suites(SSL_CTX* context, const std::string& names);

}  // namespace weir::inline v0::detail
