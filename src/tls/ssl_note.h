#pragma once

#include <openssl/ssl.h>

#include <string>

namespace weir::inline v0::detail {

/// A text that is kept with an SSL object and goes with it; one for each name this enumeration has.
enum class SslNote {
  refused_certificate,  ///< in words
  server_name,          ///< that its sessions are kept by
};

/// Null if there is none.
const std::string* note_of(const SSL* ssl, SslNote note) noexcept;
/// False, leaving the old one, without memory.
bool set_note(SSL* ssl, SslNote note, std::string text) noexcept;

}  // namespace weir::inline v0::detail
