#pragma once

#include <weir/error.h>

namespace weir::inline v0::detail {

/// Whoever has the sending half of a stream to itself: sendfile(), or the handshake of start_tls(). It alone
/// may write, and it is told instead of the protocol. [K3, K4, T23]
class WriteLock {
 public:
  /// The name of what is in progress, for the errors of those who may not write.
  virtual const char* activity() const noexcept = 0;
  /// It has the receiving half, too: nobody may set a protocol, or end the stream, to the very end of the
  /// transport: its protocol hears of that. [T24, T25]
  virtual bool has_all() const noexcept { return false; }
  /// Flow control lets it write again.
  virtual void on_resumed() noexcept = 0;
  /// Everything that was written has been sent.
  virtual void on_drained() noexcept = 0;
  /// The transport is closing; the lock is gone. Not for who has all.
  virtual void on_lost(const CloseReason& reason) noexcept = 0;

 protected:
  ~WriteLock() = default;
};

}  // namespace weir::inline v0::detail
