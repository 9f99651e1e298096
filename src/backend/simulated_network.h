#pragma once

#include <weir/simulation.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <queue>
#include <system_error>
#include <tuple>
#include <vector>

#include "backend.h"
#include "simulated_addresses.h"
#include "simulated_random.h"

// The pretended kernel: simulated_network, simulated_addresses, simulated_connections. What travels
// is in the agenda of the network, ordered by the virtual time of its arrival and then by a sequence
// number. A socket changes its state by itself as packets arrive and its user calls, whether it still
// has a user or not (as a kernel's does), and tells its user no more than "something changed". The
// order of events depends on the options alone: no clock, no pointer, no hash is looked at.
namespace weir::inline v0::detail::simulated {

/// The user of a socket: a channel. Told while packets arrive and from inside verbs, so it must
/// only take notice.
class SocketUser {
 public:
  virtual void socket_changed() noexcept = 0;

 protected:
  ~SocketUser() = default;
};

/// Where, or what, something is that is on its way.
class Arriving {
 public:
  /// The next is here.
  virtual void arrive() noexcept = 0;

 protected:
  ~Arriving() = default;
};

/// What lies between the sockets: time, chance, what is on its way, and who has which address.
class Network {
 public:
  explicit Network(const SimulationOptions& options) noexcept
      : random_(options.seed),
        min_delay_(std::max(options.min_delay, std::chrono::nanoseconds(0))),
        max_delay_(std::max(options.max_delay, min_delay_)),
        max_segment_(std::max(options.max_segment, std::size_t{1})),
        buffer_size_(std::max(options.buffer_size, std::size_t{1})) {}

  TimePoint now() const noexcept { return now_; }
  std::size_t buffer_size() const noexcept { return buffer_size_; }
  AddressBook& addresses() noexcept { return addresses_; }

  /// When the next arrives, if something is on its way.
  std::optional<TimePoint> next_arrival() const noexcept {
    if (agenda_.empty()) return std::nullopt;
    return agenda_.top().time;
  }

  /// Moves time on to `time`, if that is later, and lets arrive what is due by then.
  void advance_to(TimePoint time) noexcept;

  /// `to` is told after a delay that is drawn, but not before `last_arrival`, which becomes that time:
  /// what shares it keeps its order.
  void transmit(std::shared_ptr<Arriving> to, TimePoint& last_arrival) noexcept;
  std::size_t draw_segment() noexcept { return random_.between(1, max_segment_); }

 private:
  struct Arrival {
    TimePoint time;
    std::uint64_t sequence;
    std::shared_ptr<Arriving> to;

    /// The agenda has the greatest on top.
    friend bool operator<(const Arrival& left, const Arrival& right) noexcept {
      return std::tie(left.time, left.sequence) > std::tie(right.time, right.sequence);
    }
  };

  /// Not zero, so that an unset time is noticed.
  static constexpr TimePoint start_time{std::chrono::hours(24)};

  TimePoint draw_arrival() noexcept;

  TimePoint now_ = start_time;
  Random random_;
  AddressBook addresses_{random_};
  const std::chrono::nanoseconds min_delay_;
  const std::chrono::nanoseconds max_delay_;
  const std::size_t max_segment_;
  const std::size_t buffer_size_;
  std::uint64_t sequence_ = 0;
  std::priority_queue<Arrival> agenda_;
};

}  // namespace weir::inline v0::detail::simulated
