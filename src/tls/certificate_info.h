#pragma once

#include <weir/tls_info.h>

#include <openssl/ssl.h>

#include <optional>

namespace weir::inline v0::detail {

/// What `certificate` says. What cannot be told of a strange one is left empty.
PeerCertificate certificate_info(X509* certificate);

/// What encrypts the connection of `ssl`; none before the handshake.
std::optional<TlsCipher> cipher_info(const SSL* ssl);

}  // namespace weir::inline v0::detail
