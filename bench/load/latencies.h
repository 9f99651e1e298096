// A histogram of durations with a relative error under 1 %, in constant space.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bench {

class Latencies {
 public:
  void add(std::uint64_t nanoseconds) {
    ++counts_[bucket_of(nanoseconds)];
    ++total_;
    max_ = std::max(max_, nanoseconds);
  }

  std::uint64_t total() const { return total_; }
  double max_us() const { return static_cast<double>(max_) / 1e3; }

  /// The duration, in microseconds, that `fraction` of the values do not exceed.
  double quantile_us(double fraction) const {
    const auto rank = static_cast<std::uint64_t>(fraction * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      seen += counts_[bucket];
      if (seen > rank) return std::min(upper_bound_us(bucket), max_us());
    }
    return max_us();
  }

 private:
  // Values below 2 * steps have a bucket each; above, each power of two is cut in `steps` buckets.
  static constexpr std::size_t step_bits = 7;
  static constexpr std::size_t steps = 1U << step_bits;

  static std::size_t bucket_of(std::uint64_t value) {
    const auto width = static_cast<std::size_t>(std::bit_width(value));
    if (width <= step_bits + 1) return value;
    const std::size_t shift = width - step_bits - 1;
    return shift * steps + (value >> shift);
  }

  static double upper_bound_us(std::size_t bucket) {
    if (bucket < 2 * steps) return static_cast<double>(bucket) / 1e3;
    const std::size_t shift = bucket / steps - 1;
    const std::uint64_t front = bucket % steps + steps + 1;
    return static_cast<double>(front << shift) / 1e3;
  }

  std::array<std::uint64_t, (64 - step_bits + 1) * steps> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace bench
