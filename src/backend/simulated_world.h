#pragma once

#include <weir/address.h>
#include <weir/callback.h>
#include <weir/simulation.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"
#include "simulated_host.h"
#include "simulated_network.h"
#include "simulated_signals.h"

namespace weir::inline v0::detail::simulated {

/// What the world knows of a loop: its host, its events on their way up, and how to give it a turn.
struct Member {
  explicit Member(Host& its_host) noexcept : host(its_host) {}

  Host& host;
  Signals signals;
  LoopTurns* loop = nullptr;
  bool crashed = false;  ///< its host, in the middle of its run call or turn
  std::atomic<bool> woken{false};
};

/// A network and the loops of its hosts, on one thread. While one of them waits the others have their turns,
/// one each; time moves on when all wait.
class World {
 public:
  explicit World(const SimulationOptions& options,
                 std::vector<std::shared_ptr<Observer>> observers = {})
      : network_(options), observers_(std::move(observers)) {}

  Network& network() noexcept { return network_; }
  /// Of the loops of all its members.
  const std::vector<std::shared_ptr<Observer>>& observers() const noexcept { return observers_; }

  void join(Member& member) { members_.push_back(&member); }
  void leave(Member& member) noexcept;

  /// See Backend::wait(); for `self`.
  void wait(Member& self, std::optional<TimePoint> deadline) noexcept;
  /// Runs the loops until `time`, or until `done` says so, if there is one; returns what it said last.
  /// Throws what may leave a run call of one of the loops, and what was given to fail(). Not while a loop runs.
  bool run(TimePoint time, const std::function<bool()>& done);
  /// From any thread.
  void wake(Member& member) noexcept;

  /// Ends the run call that drives all with `failure`.
  void fail(std::exception_ptr failure) noexcept;

  /// What was on `host` ends without a word. Its loops are closed, or, if one is running, its run call ends
  /// with an exception.
  void crash(Host& host);
  /// Throws WrongStateError while a loop from before the crash is open.
  void restart(Host& host);
  /// A fault: connections that look after themselves do.
  void set_cut(Host& from, Host& to, bool cut) noexcept;

 private:
  std::optional<TimePoint> turn_of(const Member* member) const noexcept;
  bool give_turns() noexcept;
  void advance(std::optional<TimePoint> deadline, const std::function<bool()>& ended) noexcept;
  std::optional<TimePoint> next_event() noexcept;
  void sleep_until_woken() noexcept;
  bool is_anybody_woken() const noexcept;

  Network network_;
  std::vector<std::shared_ptr<Observer>> observers_;
  std::vector<Member*> members_;  ///< null: left while somebody looked at the list
  Member* waiting_ = nullptr;     ///< whose wait drives the others; null if run() does
  bool giving_turns_ = false;
  std::exception_ptr failure_;

  std::mutex mutex_;
  std::condition_variable woken_;
};

}  // namespace weir::inline v0::detail::simulated

namespace weir::inline v0::detail {

/// The inside of a SimulatedHost.
struct SimulatedHostAccess {
  static SimulatedHost make(std::shared_ptr<simulated::World> world,
                            simulated::Host& host) noexcept {
    return {std::move(world), host};
  }
  static const std::shared_ptr<simulated::World>& world(const SimulatedHost& host) noexcept {
    return host.world_;
  }
  /// Throws std::invalid_argument if it names none.
  static simulated::Host& host(const SimulatedHost& host) { return host.get(); }
};

}  // namespace weir::inline v0::detail
