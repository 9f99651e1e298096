#include "simulated_network.h"

#include <algorithm>
#include <stdexcept>

#include "simulated_hash.h"
#include "simulated_host.h"

namespace weir::inline v0::detail::simulated {
namespace {

using std::chrono::nanoseconds;

/// What makes no sense becomes the nearest that does.
LinkOptions sensible(LinkOptions options) {
  options.min_delay = std::max(options.min_delay, nanoseconds(0));
  options.max_delay = std::max(options.max_delay, options.min_delay);
  return options;
}

/// How long `size` bytes take to leave.
nanoseconds duration_of(std::size_t size, std::uint64_t bytes_per_second) noexcept {
  if (bytes_per_second == 0) return nanoseconds(0);
  constexpr std::uint64_t second = 1'000'000'000;
  const std::uint64_t whole = size / bytes_per_second;
  if (whole > 1'000'000) return std::chrono::hours(24 * 365);
  // What is left is below one second's worth: halved until the product fits.
  std::uint64_t rest = size % bytes_per_second;
  while (rest > UINT64_MAX / second) {
    rest /= 2;
    bytes_per_second /= 2;
  }
  return nanoseconds(
      static_cast<nanoseconds::rep>(whole * second + rest * second / bytes_per_second));
}

}  // namespace

Network::Network(const SimulationOptions& options)
    : random_(options.seed),
      default_link_(sensible(options.link)),
      max_segment_(std::max(options.max_segment, std::size_t{1})),
      buffer_size_(std::max(options.buffer_size, std::size_t{1})) {}

Network::~Network() = default;

void Network::advance_to(TimePoint time) noexcept {
  now_ = std::max(now_, time);
  while (agenda_.next() && *agenda_.next() <= now_) agenda_.take_next()();
}

TimePoint Network::after(nanoseconds delay) const noexcept {
  return delay > TimePoint::max() - now_ ? TimePoint::max() : now_ + delay;
}

// --- Hosts ---------------------------------------------------------------------------------------

Host& Network::add_host(std::string name, const std::vector<Address>& addresses) {
  if (name.empty()) throw std::invalid_argument("a simulated host needs a name");
  if (host_named(name) != nullptr) {
    throw std::invalid_argument("there is a simulated host named " + name + " already");
  }
  std::vector<Address> own;
  for (const Address& address : addresses) {
    if (!is_internet(address) || is_wildcard(address) || is_loopback(address) ||
        is_group(address) || is_broadcast(address)) {
      throw std::invalid_argument("\"" + address.host() + "\" cannot be the address of a host");
    }
    for (const auto& other : hosts_) {
      if (!other->has(address)) continue;
      throw std::invalid_argument("the simulated host " + other->name() + " has the address " +
                                  address.host() + " already");
    }
    own.push_back(address.with_port(0));
  }
  hosts_.push_back(std::make_unique<Host>(*this, hosts_.size(), std::move(name), std::move(own)));
  return *hosts_.back();
}

Host* Network::host_named(std::string_view name) const noexcept {
  const auto found = std::ranges::find(
      hosts_, name, [](const auto& host) -> const std::string& { return host->name(); });
  return found == hosts_.end() ? nullptr : found->get();
}

KnownName Network::name_answer(std::string_view name) const {
  if (const auto set = names_.find(name); set != names_.end()) return set->second;
  const Host* const named = host_named(name);
  return named == nullptr ? KnownName() : KnownName{named->addresses()};
}

Host* Network::host_at(const Address& address, Host& from) const noexcept {
  if (from.has(address)) return &from;
  const auto found = std::ranges::find_if(
      hosts_, [&](const auto& host) { return !is_loopback(address) && host->has(address); });
  return found == hosts_.end() ? nullptr : found->get();
}

// --- Links ---------------------------------------------------------------------------------------

Network::Link& Network::link(const Host& from, const Host& to) {
  return links_.try_emplace({from.number(), to.number()}, Link{.options = default_link_})
      .first->second;
}

void Network::set_link(const Host& from, const Host& to, const LinkOptions& options) {
  link(from, to).options = sensible(options);
}

void Network::set_link_cut(const Host& from, const Host& to, bool cut) noexcept {
  link(from, to).cut = cut;
}

/// Packets leave one after the other, as fast as the link takes them.
TimePoint Network::draw_arrival(Link& link, std::size_t size) noexcept {
  link.free_at = std::max(link.free_at, now_);
  const nanoseconds leaving = duration_of(size, link.options.bytes_per_second);
  link.free_at =
      leaving > TimePoint::max() - link.free_at ? TimePoint::max() : link.free_at + leaving;
  const nanoseconds delay = random_.between(link.options.min_delay, link.options.max_delay);
  return delay > TimePoint::max() - link.free_at ? TimePoint::max() : link.free_at + delay;
}

void Network::send(Host& from, Host& to, std::unique_ptr<Packet> packet,
                   TimePoint& last_arrival) noexcept {
  if (!from.is_up()) return;  // its kernel is gone, too
  Link& way = link(from, to);
  TimePoint arrival = draw_arrival(way, packet->size());
  const bool within = &from == &to;
  if (!within && random_.happens(way.options.reorder)) {
    const nanoseconds most = std::min(way.options.max_delay, nanoseconds::max() / 2);
    const nanoseconds more = random_.between(nanoseconds(0), most + std::chrono::milliseconds(1));
    arrival = more > TimePoint::max() - arrival ? TimePoint::max() : arrival + more;
  } else {
    last_arrival = arrival = std::max(arrival, last_arrival);
  }
  packet->digest = packet->hash();
  note_packet(0, from, to, *packet);
  if (!within && random_.happens(way.options.duplicate)) {
    travel(from, to, packet->duplicate(), std::max(arrival, draw_arrival(way, packet->size())),
           false);
  }
  const bool lost = !within && (way.cut || random_.happens(way.options.loss));
  travel(from, to, std::move(packet), arrival, lost);
}

/// What is lost is lost when it would have arrived: until then nobody could tell.
void Network::travel(Host& from, Host& to, std::unique_ptr<Packet> packet, TimePoint arrival,
                     bool lost) noexcept {
  agenda_.enter(arrival, [this, &from, &to, lost, packet = std::move(packet)] {
    const bool arrives = !lost && to.is_up() && !link(from, to).cut;
    note_packet(arrives ? 1 : 2, from, to, *packet);
    arrives ? packet->arrive(to) : packet->lost(from, to);
  });
}

void Network::deliver_locally(Callback arrive, TimePoint& last_arrival) noexcept {
  last_arrival = std::max(last_arrival,
                          after(random_.between(default_link_.min_delay, default_link_.max_delay)));
  agenda_.enter(last_arrival, std::move(arrive));
}

void Network::note_packet(std::uint64_t what, const Host& from, const Host& to,
                          const Packet& packet) noexcept {
  hash_.add(what << 62U | static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  hash_.add(from.number() << 32U | to.number());
  hash_.add(packet.digest);
}

}  // namespace weir::inline v0::detail::simulated
