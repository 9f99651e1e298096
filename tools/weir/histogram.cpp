#include "histogram.h"

#include <algorithm>
#include <cmath>

namespace weir_tool {

void Histogram::add(Duration value) {
  value = std::max(value, Duration::zero());
  ++counts_[bucket_of(static_cast<std::uint64_t>(value.count()))];
  ++count_;
  max_ = std::max(max_, value);
}

Histogram::Duration Histogram::quantile(double fraction) const {
  const double exact = std::ceil(fraction * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(static_cast<std::uint64_t>(exact), 1);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) {
      return std::min(Duration(static_cast<std::int64_t>(first_of(bucket + 1) - 1)), max_);
    }
  }
  return max_;
}

std::vector<Histogram::Bar> Histogram::bars() const {
  static constexpr std::array<std::uint64_t, 6> mantissas{100, 150, 200, 300, 500, 700};
  std::vector<Bar> bars;
  std::size_t bucket = 0;
  std::uint64_t from = 0;
  for (std::uint64_t decade = 10; from <= static_cast<std::uint64_t>(max_.count()); decade *= 10) {
    for (const std::uint64_t mantissa : mantissas) {
      const std::uint64_t to = mantissa * decade;
      Bar bar{Duration(static_cast<std::int64_t>(from)), Duration(static_cast<std::int64_t>(to)),
              0};
      for (; bucket < counts_.size() && first_of(bucket) < to; ++bucket)
        bar.count += counts_[bucket];
      if (bar.count > 0 || !bars.empty()) bars.push_back(bar);
      from = to;
    }
  }
  while (!bars.empty() && bars.back().count == 0) bars.pop_back();
  return bars;
}

std::size_t Histogram::bucket_of(std::uint64_t value) {
  const auto width = static_cast<std::size_t>(std::bit_width(value));
  if (width <= step_bits + 1) return static_cast<std::size_t>(value);
  const std::size_t shift = width - step_bits - 1;
  return shift * steps + static_cast<std::size_t>(value >> shift);
}

std::uint64_t Histogram::first_of(std::size_t bucket) {
  if (bucket < 2 * steps) return bucket;
  const std::size_t shift = bucket / steps - 1;
  return static_cast<std::uint64_t>(bucket % steps + steps) << shift;
}

}  // namespace weir_tool
