// A histogram of durations with a relative error under 1 %, in constant space.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir_tool {

class Histogram {
 public:
  using Duration = std::chrono::nanoseconds;

  /// How many values were in [from, to).
  struct Bar {
    Duration from;
    Duration to;
    std::uint64_t count;
  };

  void add(Duration value);
  void clear() { *this = Histogram(); }

  std::uint64_t count() const { return count_; }
  Duration max() const { return max_; }

  /// The value that `fraction` of all do not exceed; zero when there are none.
  Duration quantile(double fraction) const;

  /// The values in bars from 1 us on, six to a decade, without empty ones at either end.
  std::vector<Bar> bars() const;

 private:
  // A value under 2 * steps has a bucket of its own; above, each power of two has `steps` of them.
  static constexpr std::size_t step_bits = 7;
  static constexpr std::size_t steps = std::size_t{1} << step_bits;

  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t first_of(std::size_t bucket);

  std::array<std::uint64_t, (64 - step_bits + 1) * steps> counts_{};
  std::uint64_t count_ = 0;
  Duration max_{};
};

}  // namespace weir_tool
