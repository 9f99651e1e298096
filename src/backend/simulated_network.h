#pragma once

#include <weir/callback.h>
#include <weir/simulation.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend.h"
#include "simulated_addresses.h"
#include "simulated_hash.h"
#include "simulated_random.h"

// The pretended world: simulated_network (time, chance, links), simulated_host (a machine and its
// addresses), simulated_tcp, simulated_datagram_socket and simulated_local (its sockets). What travels
// is in the agenda, ordered by the virtual time of its arrival and then by a sequence number. A socket
// changes its state by itself as packets arrive and its user calls, whether it still has a user or not
// (as a kernel's does), and tells its user no more than "something changed". The order of events depends
// on the options alone: no clock, no pointer, no hash is looked at.
namespace weir::inline v0::detail::simulated {

class Host;

/// The user of a socket: a channel. Told while packets arrive and from inside verbs, so it must
/// only take notice.
class SocketUser {
 public:
  virtual void socket_changed() noexcept = 0;

 protected:
  ~SocketUser() = default;
};

/// What is to happen, and when. What has the same time happens in the order it was entered.
class Agenda {
 public:
  /// Names an entry. One that is over, or none, names nothing.
  struct Entry {
    TimePoint time{};
    std::uint64_t number = 0;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  Entry enter(TimePoint time, Callback callback) {
    const Entry entry{time, ++last_number_};
    entries_.emplace(entry, std::move(callback));
    return entry;
  }
  void cancel(const Entry& entry) noexcept { entries_.erase(entry); }

  /// When the next happens, if there is one.
  std::optional<TimePoint> next() const noexcept {
    if (entries_.empty()) return std::nullopt;
    return entries_.begin()->first.time;
  }
  Callback take_next() noexcept { return std::move(entries_.extract(entries_.begin()).mapped()); }

 private:
  std::uint64_t last_number_ = 0;
  std::map<Entry, Callback> entries_;
};

/// What travels between hosts.
class Packet {
 public:
  Packet() = default;
  Packet& operator=(const Packet&) = delete;
  virtual ~Packet() = default;

  virtual std::size_t size() const noexcept = 0;
  /// Of all that is in it; asked once.
  virtual std::uint64_t hash() const noexcept = 0;
  std::uint64_t digest = 0;  ///< what it said
  virtual std::unique_ptr<Packet> duplicate() const = 0;
  /// It is at `host`, where it was sent to.
  virtual void arrive(Host& host) noexcept = 0;
  /// The network lost it. A real one would not tell: who sent it, or waits for it, starts the clock by
  /// which it would have noticed.
  virtual void lost(Host& from, Host& to) noexcept = 0;

 protected:
  Packet(const Packet&) = default;
};

/// What lies between the sockets: time, chance, what is on its way, the hosts and their links.
class Network {
 public:
  /// Not zero, so that an unset time is noticed.
  static constexpr TimePoint start_time{std::chrono::hours(24)};

  explicit Network(const SimulationOptions& options);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network();

  TimePoint now() const noexcept { return now_; }
  Random& random() noexcept { return random_; }
  Agenda& agenda() noexcept { return agenda_; }
  /// How much one direction of a connection holds.
  std::size_t buffer_size() const noexcept { return buffer_size_; }
  std::size_t draw_segment() noexcept { return random_.between(1, max_segment_); }

  /// Moves time on to `time`, if that is later, and lets happen what is due by then.
  void advance_to(TimePoint time) noexcept;
  /// `delay` from now, at most the end of time.
  TimePoint after(std::chrono::nanoseconds delay) const noexcept;

  // --- Hosts
  /// Throws std::invalid_argument if the name or an address is taken already, or is none.
  Host& add_host(std::string name, const std::vector<Address>& addresses);
  const std::vector<std::unique_ptr<Host>>& hosts() const noexcept { return hosts_; }
  Host* host_named(std::string_view name) const noexcept;
  /// From here on `name` has that answer, be it a host's or not.
  void set_name(const std::string& name, KnownName answer) {
    names_.insert_or_assign(name, std::move(answer));
  }
  KnownName name_answer(std::string_view name) const;
  /// Who is reached by `from` at `address`; null if nobody has it.
  Host* host_at(const Address& address, Host& from) const noexcept;

  // --- Links: each direction by itself
  void set_link(const Host& from, const Host& to, const LinkOptions& options);
  void set_link_cut(const Host& from, const Host& to, bool cut) noexcept;

  /// `packet` arrives after the delays of the link, or is lost. What shares `last_arrival`, which becomes
  /// the time of this arrival, keeps its order, unless the link reorders.
  void send(Host& from, Host& to, std::unique_ptr<Packet> packet, TimePoint& last_arrival) noexcept;
  /// The same within a host, where nothing is lost.
  void deliver_locally(Callback arrive, TimePoint& last_arrival) noexcept;

  /// Of everything that travelled so far: equal runs have equal hashes.
  std::uint64_t trace_hash() const noexcept { return hash_.value(); }

 private:
  struct Link {
    LinkOptions options;
    bool cut = false;
    TimePoint free_at{};  ///< when all that was sent before has left
  };

  Link& link(const Host& from, const Host& to);
  TimePoint draw_arrival(Link& link, std::size_t size) noexcept;
  void travel(Host& from, Host& to, std::unique_ptr<Packet> packet, TimePoint arrival,
              bool lost) noexcept;
  void note_packet(std::uint64_t what, const Host& from, const Host& to,
                   const Packet& packet) noexcept;

  TimePoint now_ = start_time;
  Random random_;
  Agenda agenda_;
  const LinkOptions default_link_;
  const std::size_t max_segment_;
  const std::size_t buffer_size_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<std::string, KnownName, std::less<>> names_;  ///< that were given an answer
  std::map<std::pair<std::size_t, std::size_t>, Link> links_;
  Hash hash_;
};

}  // namespace weir::inline v0::detail::simulated
