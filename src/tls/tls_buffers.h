#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "loop.h"

namespace weir::inline v0::detail {

/// What the TLS connections of a loop share, for each needs it only while it is served: so an idle one
/// owns no buffer. Those that run over one another have one each, by their nesting: what one of them
/// decrypted, or encrypted, is read by the next.
class TlsBuffers {
 public:
  /// As old as the loop.
  static TlsBuffers& of(Loop& loop, std::size_t nesting);

  /// What the engine wants to send; empty whenever anybody else may run.
  std::vector<std::byte> output;
  /// Where to decrypt to, if the protocol has no buffer of its own: 256 KiB. [S3]
  std::span<std::byte> plaintext();

 private:
  std::unique_ptr<std::byte[]> plaintext_;  // NOLINT(*-avoid-c-arrays): not to be cleared
};

}  // namespace weir::inline v0::detail
