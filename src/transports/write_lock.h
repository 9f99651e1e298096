#pragma once

#include <weir/error.h>

namespace weir::inline v0::detail {

/// Whoever has the sending half of a stream to itself: sendfile(). It alone may write, and it is told
/// instead of the protocol. [K3, K4]
class WriteLock {
 public:
  /// Flow control lets it write again.
  virtual void on_resumed() noexcept = 0;
  /// Everything that was written has been sent.
  virtual void on_drained() noexcept = 0;
  /// The transport is closing; the lock is gone.
  virtual void on_lost(const CloseReason& reason) noexcept = 0;

 protected:
  ~WriteLock() = default;
};

}  // namespace weir::inline v0::detail
