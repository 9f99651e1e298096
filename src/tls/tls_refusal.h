#pragma once

#include <openssl/ssl.h>

#include <string>
#include <string_view>

namespace weir::inline v0::detail {

/// What the first error of OpenSSL's queue means for the connection of `ssl`, to stand before the library's
/// own words: "the peer refused our certificate". [T5]
/// `start` is what the peer began with, if it failed in the handshake, or empty.
std::string what_failed(SSL* ssl, std::string_view start);

}  // namespace weir::inline v0::detail
