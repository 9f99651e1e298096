#pragma once

#include <weir/address.h>
#include <weir/event_loop.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "backend.h"
#include "loop.h"

namespace weir::inline v0::detail {

/// Whom to connect to, and how.
struct RacePlan {
  std::vector<Address> remotes;  ///< in the order they are tried
  /// Bind to one of these of the remote's family; unset: do not bind. [N6]
  std::optional<std::vector<Address>> locals;
  /// Start the next attempt this long after the one before; unset: only when that failed. [N8]
  std::optional<std::chrono::nanoseconds> delay;
};

/// Told how a race ended: one of the two, once. The race may be destroyed inside either.
class RaceEvents {
 public:
  virtual void race_won(std::unique_ptr<StreamChannel> channel, const Address& remote) noexcept = 0;
  virtual void race_lost(std::vector<std::system_error> errors) noexcept = 0;

 protected:
  ~RaceEvents() = default;
};

/// Connects to the first of several addresses that answers.
///
/// Without a delay they are tried one after the other; with one they race ("happy eyeballs"): an
/// attempt that takes long is not given up, but joined by the next. Either way the next attempt
/// starts at once when the latest fails. The first success ends all other attempts, as does
/// destroying the race, before the call returns. [N4, N8, N9]
class ConnectRace {
 public:
  /// Connects through `backend`, in the time of `loop`.
  ConnectRace(Loop& loop, Backend& backend, RacePlan plan, RaceEvents& events);
  ConnectRace(const ConnectRace&) = delete;
  ConnectRace& operator=(const ConnectRace&) = delete;
  ~ConnectRace();

  /// May call race_lost() before it returns.
  void start() { start_next(); }

 private:
  class Attempt;

  void start_next();
  bool try_remote(const Address& remote);
  std::optional<ConnectStep> try_pair(const Address& remote, const Address& local);
  void record(std::error_code error, const std::string& doing);

  void attempt_won(Attempt& attempt, std::unique_ptr<StreamChannel> channel) noexcept;
  void attempt_failed(Attempt& attempt, std::error_code error) noexcept;

  Loop& loop_;
  Backend& backend_;
  RacePlan plan_;
  RaceEvents& events_;
  std::size_t next_ = 0;
  std::vector<std::unique_ptr<Attempt>> running_;  ///< in the order they started
  std::vector<std::system_error> errors_;
  TimerHandle timer_;
};

}  // namespace weir::inline v0::detail
