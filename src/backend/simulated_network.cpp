#include "simulated_network.h"

#include <utility>

namespace weir::inline v0::detail::simulated {

using std::chrono::nanoseconds;

void Network::advance_to(TimePoint time) noexcept {
  now_ = std::max(now_, time);
  while (!agenda_.empty() && agenda_.top().time <= now_) {
    const std::shared_ptr<Arriving> to = agenda_.top().to;
    agenda_.pop();
    to->arrive();
  }
}

TimePoint Network::draw_arrival() noexcept {
  const auto delay = nanoseconds(static_cast<nanoseconds::rep>(
      random_.between(static_cast<std::uint64_t>(min_delay_.count()),
                      static_cast<std::uint64_t>(max_delay_.count()))));
  return delay > TimePoint::max() - now_ ? TimePoint::max() : now_ + delay;
}

void Network::transmit(std::shared_ptr<Arriving> to, TimePoint& last_arrival) noexcept {
  last_arrival = std::max(last_arrival, draw_arrival());
  agenda_.push({last_arrival, sequence_++, std::move(to)});
}

}  // namespace weir::inline v0::detail::simulated
