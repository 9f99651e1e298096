// SIGINT and SIGTERM as callbacks of a loop.
#pragma once

#include <weir/weir.h>
#include <functional>

namespace weir_tool {

/// While it lives, SIGINT and SIGTERM do not end the program but wait, for a callback on the loop.
///
/// Make it before anything that starts threads: a thread started earlier would still be ended.
class StopSignals {
 public:
  explicit StopSignals(weir::EventLoop& loop);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  /// Calls `callback` for each signal from now on, and for one that is waiting already.
  void on_signal(std::function<void()> callback);

 private:
  weir::EventLoop& loop_;
  int descriptor_ = -1;
};

}  // namespace weir_tool
