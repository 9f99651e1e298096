#include "flow_control.h"

#include <limits>
#include <stdexcept>
#include <string>

namespace weir::inline v0::detail {

bool FlowControl::grown(std::size_t size) noexcept {
  if (paused_ || size <= limits_.high) return false;
  paused_ = true;
  return true;
}

bool FlowControl::shrunk(std::size_t size) noexcept {
  if (!paused_ || size > limits_.low) return false;
  paused_ = false;
  return true;
}

void FlowControl::set_limits(WriteBufferLimits limits, std::size_t default_high) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  std::size_t high = default_high;
  if (limits.high) {
    high = *limits.high;
  } else if (limits.low) {
    high = *limits.low > most / 4 ? most : 4 * *limits.low;
  }
  const std::size_t low = limits.low.value_or(high / 4);
  if (low > high) {
    throw std::invalid_argument("a buffer's low mark (" + std::to_string(low) +
                                ") must not be over its high mark (" + std::to_string(high) + ")");
  }
  limits_ = {.low = low, .high = high};
}

}  // namespace weir::inline v0::detail
