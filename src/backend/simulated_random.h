#pragma once

#include <chrono>
#include <cstdint>

namespace weir::inline v0::detail::simulated {

/// SplitMix64: the same numbers on every machine, which the standard's distributions do not
/// promise.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  /// A number from `low` to `high`, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    const std::uint64_t count = high - low + 1;
    return count == 0 ? next() : low + next() % count;
  }
  /// Neither is negative.
  std::chrono::nanoseconds between(std::chrono::nanoseconds low,
                                   std::chrono::nanoseconds high) noexcept {
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(between(
        static_cast<std::uint64_t>(low.count()), static_cast<std::uint64_t>(high.count()))));
  }
  /// True with that probability. Draws nothing for what always, or never, happens.
  bool happens(double probability) noexcept {
    if (!(probability > 0)) return false;
    if (probability >= 1) return true;
    return static_cast<double>(next() >> 11U) * 0x1p-53 < probability;
  }

 private:
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  std::uint64_t state_;
};

}  // namespace weir::inline v0::detail::simulated
