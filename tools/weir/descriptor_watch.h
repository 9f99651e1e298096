// Waiting for any descriptor a shell may give a program: pipe, terminal, socket, file, /dev/null.
#pragma once

#include <weir/weir.h>
#include <functional>

namespace weir_tool {

/// While started, calls back once an iteration when a descriptor can be read, or written.
///
/// Regular files and some devices cannot be polled, and never make their user wait: for those it
/// calls back in every iteration. The descriptor and its flags, which other programs may share, are
/// left as they are.
class DescriptorWatch {
 public:
  enum class Direction { reading, writing };

  DescriptorWatch(weir::EventLoop& loop, int descriptor, Direction direction,
                  std::function<void()> callback);
  DescriptorWatch(const DescriptorWatch&) = delete;
  DescriptorWatch& operator=(const DescriptorWatch&) = delete;
  ~DescriptorWatch();

  /// Both may be repeated, and called from the callback.
  void start();
  void stop();

  int descriptor() const { return descriptor_; }
  /// False once start() has found that the descriptor cannot be polled.
  bool pollable() const { return pollable_; }

 private:
  bool try_to_poll();
  void schedule();

  weir::EventLoop& loop_;
  int descriptor_;
  Direction direction_;
  std::function<void()> callback_;
  weir::Handle next_call_;
  bool active_ = false;
  bool pollable_ = true;
};

}  // namespace weir_tool
