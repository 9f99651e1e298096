#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/observer.h>
#include <weir/simulation.h>

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "loop.h"
#include "simulated_world.h"

namespace weir::inline v0 {
namespace detail {

/// The programs of a network's hosts, and their loops.
class SimulatedPrograms {
 public:
  void add(const SimulatedHost& host, SimulatedNetwork::Program program) {
    const auto entry = running_.emplace(host.name(), Running{std::move(program), nullptr}).first;
    start(host, entry->second);
  }
  void start(const SimulatedHost& host) {
    const auto found = running_.find(host.name());
    if (found != running_.end()) start(host, found->second);
  }
  /// From inside its own callbacks a loop cannot be destroyed.
  void stop(const SimulatedHost& host) {
    const auto found = running_.find(host.name());
    if (found == running_.end() || found->second.loop == nullptr) return;
    over_.push_back(std::move(found->second.loop));
    bury();
  }
  void bury() {
    std::erase_if(over_, [](const auto& loop) { return !Loop::of(*loop).is_busy(); });
  }
  /// Whoever holds the result calls it only while this lives.
  std::weak_ptr<std::function<void()>> keep(std::function<void()> fault) {
    faults_.push_back(std::make_shared<std::function<void()>>(std::move(fault)));
    return faults_.back();
  }
  EventLoop* loop(const SimulatedHost& host) const {
    const auto found = running_.find(host.name());
    return found == running_.end() ? nullptr : found->second.loop.get();
  }

 private:
  struct Running {
    SimulatedNetwork::Program program;
    std::unique_ptr<EventLoop> loop;
  };

  static void start(const SimulatedHost& host, Running& running) {
    running.loop = std::make_unique<EventLoop>(LoopOptions{.host = host});
    running.loop->call_soon(
        [program = running.program, loop = running.loop.get()] { program(*loop); });
  }

  std::map<std::string, Running> running_;  ///< by the host's name
  std::vector<std::unique_ptr<EventLoop>> over_;
  std::vector<std::shared_ptr<std::function<void()>>> faults_;
};

std::vector<std::shared_ptr<Observer>> network_observers(const SimulatedHost& host) {
  return SimulatedHostAccess::world(host)->observers();
}

}  // namespace detail

using detail::TimePoint;
using detail::simulated::Host;
using detail::simulated::Network;
using detail::simulated::World;

namespace {

std::vector<Address> parse(const std::vector<std::string>& addresses) {
  std::vector<Address> parsed;
  for (const std::string& text : addresses) {
    const auto address = Address::parse(text, 0);
    if (!address) throw std::invalid_argument("\"" + text + "\" is no IPv4 or IPv6 address");
    parsed.push_back(*address);
  }
  return parsed;
}

}  // namespace

// --- SimulatedHost -------------------------------------------------------------------------------

Host& SimulatedHost::get() const {
  if (host_ == nullptr) throw std::invalid_argument("this SimulatedHost names no host");
  return *host_;
}

const std::string& SimulatedHost::name() const { return get().name(); }
const std::vector<Address>& SimulatedHost::addresses() const { return get().addresses(); }
bool SimulatedHost::is_up() const { return get().is_up(); }

// --- SimulatedNetwork ----------------------------------------------------------------------------

SimulatedNetwork::SimulatedNetwork(const SimulationOptions& options,
                                   std::vector<std::shared_ptr<Observer>> observers)
    : seed_(options.seed),
      world_(std::make_shared<World>(options, std::move(observers))),
      programs_(std::make_unique<detail::SimulatedPrograms>()) {}

SimulatedNetwork::~SimulatedNetwork() = default;

SimulatedHost SimulatedNetwork::host_of(Host& host) const noexcept {
  return detail::SimulatedHostAccess::make(world_, host);
}

Host& SimulatedNetwork::own(const SimulatedHost& host) const {
  if (host && detail::SimulatedHostAccess::world(host) != world_) {
    throw std::invalid_argument("the simulated host " + host.name() + " is of another network");
  }
  return detail::SimulatedHostAccess::host(host);
}

SimulatedHost SimulatedNetwork::add_host(const std::string& name,
                                         const std::vector<std::string>& addresses) {
  std::vector<Address> parsed = parse(addresses);
  Network& network = world_->network();
  if (addresses.empty()) {
    const std::size_t number = network.hosts().size() + 1;
    const auto high = static_cast<std::uint8_t>(number >> 8U);
    const auto low = static_cast<std::uint8_t>(number);
    parsed.push_back(Address::ipv4({10, 0, high, low}, 0));
    Address::Bytes bytes{0xfd};
    bytes[14] = high;
    bytes[15] = low;
    parsed.push_back(Address::ipv6(bytes, 0));
  }
  return host_of(network.add_host(name, parsed));
}

SimulatedHost SimulatedNetwork::add_host(const std::string& name, Program program,
                                         const std::vector<std::string>& addresses) {
  if (!program) throw std::invalid_argument("the program of a simulated host is empty");
  SimulatedHost host = add_host(name, addresses);
  programs_->add(host, std::move(program));
  return host;
}

void SimulatedNetwork::set_name(const std::string& name, const SimulatedName& answer) {
  world_->network().set_name(name, {parse(answer.addresses), answer.delay, answer.fails});
  tell("another answer to the name " + name);
}

EventLoop* SimulatedNetwork::loop(const SimulatedHost& host) const {
  static_cast<void>(own(host));
  return programs_->loop(host);
}

void SimulatedNetwork::tell(const std::string& what) const {
  for (const auto& observer : world_->observers())
    observer->happened(world_->network().now(), what);
}

void SimulatedNetwork::set_link(const SimulatedHost& one, const SimulatedHost& other,
                                const LinkOptions& options) {
  set_link_one_way(one, other, options);
  set_link_one_way(other, one, options);
}

void SimulatedNetwork::set_link_one_way(const SimulatedHost& from, const SimulatedHost& to,
                                        const LinkOptions& options) {
  world_->network().set_link(own(from), own(to), options);
  tell("another link from " + from.name() + " to " + to.name());
}

void SimulatedNetwork::partition(const SimulatedHost& one, const SimulatedHost& other) {
  cut(one, other);
  cut(other, one);
  tell("partition of " + one.name() + " and " + other.name());
}

void SimulatedNetwork::partition_one_way(const SimulatedHost& from, const SimulatedHost& to) {
  cut(from, to);
  tell("partition from " + from.name() + " to " + to.name());
}

void SimulatedNetwork::cut(const SimulatedHost& from, const SimulatedHost& to) {
  if (from == to) throw std::invalid_argument("a host cannot be parted from itself");
  world_->set_cut(own(from), own(to), true);
}

void SimulatedNetwork::isolate(const SimulatedHost& host) {
  for (const auto& other : world_->network().hosts()) {
    if (other.get() == &own(host)) continue;
    cut(host, host_of(*other));
    cut(host_of(*other), host);
  }
  tell("isolation of " + host.name());
}

void SimulatedNetwork::heal(const SimulatedHost& one, const SimulatedHost& other) {
  world_->set_cut(own(one), own(other), false);
  world_->set_cut(own(other), own(one), false);
  tell("heal " + one.name() + " and " + other.name());
}

void SimulatedNetwork::heal() {
  const auto& hosts = world_->network().hosts();
  for (const auto& from : hosts) {
    for (const auto& to : hosts) world_->set_cut(*from, *to, false);
  }
  tell("heal all links");
}

void SimulatedNetwork::crash(const SimulatedHost& host) {
  tell("crash of " + own(host).name());
  world_->crash(own(host));
  programs_->stop(host);
}

void SimulatedNetwork::restart(const SimulatedHost& host) {
  programs_->bury();
  if (host.is_up()) return;
  world_->restart(own(host));
  tell("restart of " + host.name());
  programs_->start(host);
}

void SimulatedNetwork::at(std::chrono::nanoseconds time, std::function<void()> fault) {
  if (!fault) throw std::invalid_argument("the fault is empty");
  Network& network = world_->network();
  const TimePoint when =
      time > TimePoint::max() - Network::start_time ? TimePoint::max() : Network::start_time + time;
  network.agenda().enter(std::max(network.now(), when),
                         [world = world_.get(), kept = programs_->keep(std::move(fault))] {
                           try {
                             if (const auto alive = kept.lock()) (*alive)();
                           } catch (...) {
                             world->fail(std::current_exception());
                           }
                         });
}

void SimulatedNetwork::run_for(std::chrono::nanoseconds duration) {
  detail::Loop::check_none_runs_here();
  world_->run(world_->network().after(duration), {});
  programs_->bury();
}

bool SimulatedNetwork::run_until(const std::function<bool()>& condition,
                                 std::chrono::nanoseconds limit) {
  if (!condition) throw std::invalid_argument("the condition is empty");
  detail::Loop::check_none_runs_here();
  const bool holds = world_->run(world_->network().after(limit), condition);
  programs_->bury();
  return holds;
}

std::chrono::nanoseconds SimulatedNetwork::elapsed() const noexcept {
  return world_->network().now() - Network::start_time;
}

std::uint64_t SimulatedNetwork::trace_hash() const noexcept {
  return world_->network().trace_hash();
}

}  // namespace weir::inline v0
