#pragma once

#include <weir/address.h>
#include <weir/export.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline v0 {

class EventLoop;
class Observer;
class SimulatedNetwork;

namespace detail {
struct SimulatedHostAccess;
class FaultScript;
class SimulatedPrograms;
namespace simulated {
class Host;
class World;
}  // namespace simulated
}  // namespace detail

/// How packets travel from one simulated host to another. What makes no sense becomes the nearest that does.
struct LinkOptions {
  /// A packet arrives this long after it left, drawn anew for each; what one socket sends keeps its order.
  std::chrono::nanoseconds min_delay = std::chrono::microseconds(20);
  std::chrono::nanoseconds max_delay = std::chrono::microseconds(200);
  /// How fast packets leave, one after the other; 0: at once.
  std::uint64_t bytes_per_second = 0;
  /// Of each packet: the probability that it is lost, arrives twice, or is overtaken by later ones. TCP makes
  /// up for all three; datagrams do not.
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;
};

/// How a simulated network behaves. The same options and the same program give the same run, event by event.
struct SimulationOptions {
  std::uint64_t seed = 1;
  /// Of all links until set_link(); within a host nothing is lost, doubled or reordered.
  LinkOptions link{};
  /// Sent bytes are cut into segments of one to this many bytes.
  std::size_t max_segment = std::size_t{64} * 1024;
  /// How many bytes one direction of a connection, or a pipe, holds before its sender has to wait; and
  /// about how many a datagram socket holds before more are lost, or, if it is a Unix one, have to wait.
  std::size_t buffer_size = std::size_t{256} * 1024;
};

/// What a simulated network answers to who asks for a name.
struct SimulatedName {
  /// In this order; none: there is no such name.
  std::vector<std::string> addresses{};
  /// The answer takes so long; with hours(24 * 365) nobody will live to hear it.
  std::chrono::nanoseconds delay{};
  /// Nobody can say: the resolver's EAI_AGAIN, after the delay.
  bool fails = false;
};

/// Names a host of a SimulatedNetwork, and keeps the network's inside alive. LoopOptions::host puts a loop on
/// it. A default one names none.
///
/// Threads: that of the network.
class WEIR_API SimulatedHost {
 public:
  SimulatedHost() noexcept = default;

  explicit operator bool() const noexcept { return host_ != nullptr; }
  const std::string& name() const;
  /// By which others reach it, without ports; its own loopback addresses are not among them.
  const std::vector<Address>& addresses() const;
  /// False from crash() to restart().
  bool is_up() const;

  friend bool operator==(const SimulatedHost&, const SimulatedHost&) = default;

 private:
  friend struct detail::SimulatedHostAccess;
  SimulatedHost(std::shared_ptr<detail::simulated::World> world,
                detail::simulated::Host& host) noexcept
      : world_(std::move(world)), host_(&host) {}
  detail::simulated::Host& get() const;

  std::shared_ptr<detail::simulated::World> world_;
  detail::simulated::Host* host_ = nullptr;
};

/// A world in which programs that speak to each other run on one thread, in virtual time: hosts with
/// addresses and names, links between them, and faults. It is for tests: protocols and programs are those
/// that run on real sockets, unchanged.
///
///     weir::SimulatedNetwork network({.seed = 7});
///     const auto server = network.add_host("server", [](weir::EventLoop& loop) { ... });
///     const auto client = network.add_host("client");
///     weir::EventLoop loop({.host = client});
///     loop.run_until_complete(weir::create_connection<Client>(loop, "server", 80));
///
/// A host has loops: one that add_host() made for its program, and any that were made with LoopOptions::host.
/// Whichever of them is run, all run: while one waits, the others have their turns, one iteration each, in
/// the order they were made. A loop that is stopped has none until it is run. Time stands while callbacks run,
/// and jumps to the next event when everything waits. If nothing can happen any more, a run call waits for
/// other threads, as a real loop does.
///
/// Everything random is drawn from one seed. As long as the program looks at nothing else (clocks, addresses of
/// objects, threads), the same seed gives the same run, on every machine; trace_hash() tells.
///
/// TCP is TCP: handshakes, a backlog, windows, acknowledgements, retransmission with growing timeouts, resets,
/// half-closed and half-open connections, lingering ports. There is no congestion control.
///
/// An exception that may leave a run call of a loop (see EventLoop::set_fatal_exception_predicate()) leaves
/// the call that drives all, be it of another loop.
///
/// Threads: one, that of all its loops.
class WEIR_API SimulatedNetwork {
 public:
  /// Begins the program of a host, in a callback of its loop: makes servers and connections, and returns.
  using Program = std::function<void(EventLoop&)>;

  /// `observers` see the transports of all loops on its hosts, and the faults.
  explicit SimulatedNetwork(const SimulationOptions& options = {},
                            std::vector<std::shared_ptr<Observer>> observers = {});
  SimulatedNetwork(const SimulatedNetwork&) = delete;
  SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;
  /// Closes the loops of programs; loops of others may go on.
  ~SimulatedNetwork();

  // --- Hosts --------------------------------------------------------------------------------------

  /// A host that other hosts find by `name` and by `addresses`; by default 10.0.0.1 and fd00::1, 10.0.0.2 and
  /// so on. Throws std::invalid_argument for a name or an address that is taken, or cannot be one.
  SimulatedHost add_host(const std::string& name, const std::vector<std::string>& addresses = {});

  /// With a loop of its own, on which `program` begins as soon as the network runs, and anew after each
  /// restart().
  SimulatedHost add_host(const std::string& name, Program program,
                         const std::vector<std::string>& addresses = {});

  /// From here on that is the answer to `name`, which may also be that of a host; at first these alone are
  /// known, and answered at once. Throws std::invalid_argument for what is no address.
  void set_name(const std::string& name, const SimulatedName& answer);

  /// The loop of the host's program; null if it has none, or is down.
  EventLoop* loop(const SimulatedHost& host) const;

  // --- Faults -------------------------------------------------------------------------------------

  /// The links between two hosts, in both directions; or in one.
  void set_link(const SimulatedHost& one, const SimulatedHost& other, const LinkOptions& options);
  void set_link_one_way(const SimulatedHost& from, const SimulatedHost& to,
                        const LinkOptions& options);

  /// Everything that travels between two hosts, or is on its way, is lost, until heal(); or in one direction.
  void partition(const SimulatedHost& one, const SimulatedHost& other);
  void partition_one_way(const SimulatedHost& from, const SimulatedHost& to);
  /// The same between a host and all others there are.
  void isolate(const SimulatedHost& host);
  void heal(const SimulatedHost& one, const SimulatedHost& other);
  /// All links, in all directions.
  void heal();

  /// As if the power failed: what was on the host ends without a callback and without a packet. The loop of its
  /// program is destroyed, as are its transports. A loop that somebody else made there is closed; if that one is
  /// running, its run call throws WrongStateError.
  void crash(const SimulatedHost& host);
  /// The host is back, with nothing on it, and its program begins anew. Throws WrongStateError while a loop from
  /// before the crash is open that is not the network's own.
  void restart(const SimulatedHost& host);

  /// Calls `fault` when that much virtual time has passed since the network was made: at once, in the next
  /// run, if it has already. An exception leaves the run call that goes on. Faults of one time happen in the
  /// order they were given.
  void at(std::chrono::nanoseconds time, std::function<void()> fault);

  /// Faults by their time, one a line; as at() with the functions of those names:
  ///
  ///     # what is behind a # is not read
  ///     20s   isolate server
  ///     30s   heal                           or: heal server client
  ///     40s   partition server client        both ways; or one way: partition server -> client
  ///     1min  crash server
  ///     70s   restart server
  ///     80s   link server client delay=10ms..50ms rate=100000 loss=0.1 duplicate=0.01 reorder=0.1
  ///     90s   name db.test 10.0.0.1 fd00::1 delay=2s
  ///     95s   name db.test fails
  ///
  /// Times have one of the units ns, us, ms, s, min and h, rates are in bytes a second. A link is as
  /// LinkOptions are by default but for what is said, in both directions, or with -> in one.
  /// Throws std::invalid_argument that names the line, and what is wrong with it; then nothing is scheduled.
  void script(std::string_view faults);

  // --- Running: throws WrongStateError while a loop runs on this thread ----------------------------

  /// Runs all loops for so much virtual time.
  void run_for(std::chrono::nanoseconds duration);
  /// Runs all loops until `condition` holds, which is asked after each step; for at most `limit` of virtual
  /// time. Returns whether it does.
  bool run_until(const std::function<bool()>& condition,
                 std::chrono::nanoseconds limit = std::chrono::hours(1));

  /// How much virtual time has passed since the network was made.
  std::chrono::nanoseconds elapsed() const noexcept;
  std::uint64_t seed() const noexcept { return seed_; }
  /// Of every packet that left, arrived or was lost, its content and its time: the same for equal runs.
  std::uint64_t trace_hash() const noexcept;

 private:
  SimulatedHost host_of(detail::simulated::Host& host) const noexcept;
  detail::simulated::Host& own(const SimulatedHost& host) const;
  void cut(const SimulatedHost& from, const SimulatedHost& to);
  void tell(const std::string& what) const;
  friend class detail::FaultScript;

  std::uint64_t seed_;
  std::shared_ptr<detail::simulated::World> world_;
  std::unique_ptr<detail::SimulatedPrograms> programs_;
};

/// The two ends of a pipe of a simulated loop. They are no descriptors: these numbers mean nothing
/// but to connect_read_pipe() and connect_write_pipe() of that loop.
struct SimulatedPipe {
  int read_end = -1;
  int write_end = -1;
};

/// A new pipe in the simulation of `loop`. The ends belong to the loop until a transport takes them;
/// one that none takes stays open until the loop closes.
///
/// Throws UnsupportedOperationError if the loop's backend is no simulation, WrongStateError if the loop
/// is closed. Threads: the loop's.
WEIR_API SimulatedPipe simulated_pipe(EventLoop& loop);

}  // namespace weir::inline v0
