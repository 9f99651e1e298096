#pragma once

#include "lifecycle.h"

namespace weir::inline v0::detail {

/// Whether a channel, of whichever kind, receives: from after connection_made() on, until the end, and
/// not while the user has paused it. [S8-S12, D16]
template <class Channel>
class ReceiveSwitch {
 public:
  ReceiveSwitch(Lifecycle& lifecycle, Channel& channel) noexcept
      : lifecycle_(lifecycle), channel_(channel) {}

  /// After connection_made(), which may have paused or closed. [S10]
  void start() noexcept {
    started_ = true;
    if (reading()) channel_.start_receiving();
  }
  void pause() noexcept {
    if (!reading()) return;
    paused_ = true;
    channel_.stop_receiving();
  }
  void resume() noexcept {
    if (!paused_ || lifecycle_.closing()) return;
    paused_ = false;
    if (started_ && !ended_) channel_.start_receiving();
  }
  /// There is nothing more to receive, also after resume(). [S4]
  void end() noexcept { ended_ = true; }

  Lifecycle& lifecycle() const noexcept { return lifecycle_; }
  bool reading() const noexcept { return !paused_ && !lifecycle_.closing(); }
  bool paused() const noexcept { return paused_; }

 private:
  Lifecycle& lifecycle_;
  Channel& channel_;
  bool started_ = false;
  bool paused_ = false;
  bool ended_ = false;
};

}  // namespace weir::inline v0::detail
