#pragma once

#include <weir/transport.h>

#include <cstddef>

namespace weir::inline v0::detail {

/// The watermarks: when whoever fills a queue is to be paused and resumed. Nobody else compares a size with a
/// mark.
///
/// grown() and shrunk() tell when a callback is due, and have noted it before it is made. [F5-F8]
class FlowControl {
 public:
  static constexpr std::size_t default_high_water = std::size_t{64} * 1024;

  /// The low mark is a quarter of the high one. Bytes. [F1]
  explicit FlowControl(std::size_t high = default_high_water) noexcept
      : limits_{.low = high / 4, .high = high} {}

  /// The size of the queue rose to `size` bytes. True: call pause_writing() now.
  [[nodiscard]] bool grown(std::size_t size) noexcept;
  /// The size of the queue fell to `size` bytes. True: call resume_writing() now.
  [[nodiscard]] bool shrunk(std::size_t size) noexcept;

  /// True from a grown() that was true to a shrunk() that was.
  bool paused() const noexcept { return paused_; }

  /// `default_high` is the high mark if `limits` has none of the two.
  /// Throws std::invalid_argument, changing nothing, if low > high. [F2, F3]
  void set_limits(WriteBufferLimits limits, std::size_t default_high = default_high_water);
  EffectiveWriteBufferLimits limits() const noexcept { return limits_; }

 private:
  EffectiveWriteBufferLimits limits_;
  bool paused_ = false;
};

}  // namespace weir::inline v0::detail
