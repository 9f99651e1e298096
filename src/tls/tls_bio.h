#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "openssl_handles.h"

namespace weir::inline v0::detail {

/// What an SSL object reads from and writes to, instead of a socket.
struct TlsWire {
  /// Read in place, from its front; an object that wants more is told to try again later.
  std::span<const std::byte> input{};
  /// How much of it may be read before the next call of the library.
  std::size_t budget = 0;
  /// Appended to; never full.
  std::vector<std::byte>& output;
};

/// A BIO over `wire`, which must outlive it. Throws TlsError without memory.
BioPtr make_tls_bio(TlsWire& wire);

}  // namespace weir::inline v0::detail
