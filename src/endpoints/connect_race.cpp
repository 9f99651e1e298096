#include "connect_race.h"

#include <utility>

namespace weir::inline v0::detail {

/// An attempt that has begun. It goes when it is over, which may be inside its own event.
class ConnectRace::Attempt final : public ConnectEvents {
 public:
  Attempt(ConnectRace& race, Address remote) : race_(race), remote_(std::move(remote)) {}

  const Address& remote() const noexcept { return remote_; }
  void began(std::unique_ptr<ConnectAttempt> attempt) noexcept { attempt_ = std::move(attempt); }

  void on_connected(std::unique_ptr<StreamChannel> channel) noexcept override {
    race_.attempt_won(*this, std::move(channel));
  }
  void on_connect_failed(std::error_code error) noexcept override {
    race_.attempt_failed(*this, error);
  }

 private:
  ConnectRace& race_;
  Address remote_;
  std::unique_ptr<ConnectAttempt> attempt_;
};

ConnectRace::ConnectRace(Loop& loop, Backend& backend, RacePlan plan, RaceEvents& events)
    : loop_(loop), backend_(backend), plan_(std::move(plan)), events_(events) {}

ConnectRace::~ConnectRace() { timer_.cancel(); }

/// Starts the next attempt that does not fail at once. May end the race, and `this`.
void ConnectRace::start_next() {
  while (next_ < plan_.remotes.size()) {
    if (!try_remote(plan_.remotes[next_++])) continue;
    if (plan_.delay && next_ < plan_.remotes.size()) {
      timer_ = loop_.facade().call_later(*plan_.delay, [this] { start_next(); });
    }
    return;
  }
  if (running_.empty()) events_.race_lost(std::move(errors_));
}

/// True if an attempt has begun.
bool ConnectRace::try_remote(const Address& remote) {
  if (!plan_.locals) return !try_pair(remote, Address());
  bool matched = false;
  for (const Address& local : *plan_.locals) {
    if (local.family() != remote.family()) continue;
    matched = true;
    const std::optional<ConnectStep> failed = try_pair(remote, local);
    if (failed != ConnectStep::bind) return !failed;
  }
  if (!matched) {
    record(std::make_error_code(std::errc::address_family_not_supported),
           "connect to " + remote.to_string() + ": no local address is of its family");
  }
  return false;
}

/// The step that failed, and was recorded, or nothing if the attempt has begun.
std::optional<ConnectStep> ConnectRace::try_pair(const Address& remote, const Address& local) {
  auto attempt = std::make_unique<Attempt>(*this, remote);
  ConnectStart start = backend_.connect(remote, local, *attempt);
  if (start.attempt == nullptr) {
    record(start.error, start.step == ConnectStep::bind ? "bind to " + local.to_string()
                                                        : "connect to " + remote.to_string());
    return start.step;
  }
  attempt->began(std::move(start.attempt));
  running_.push_back(std::move(attempt));
  return std::nullopt;
}

void ConnectRace::record(std::error_code error, const std::string& doing) {
  errors_.emplace_back(error, doing);
}

void ConnectRace::attempt_won(Attempt& attempt, std::unique_ptr<StreamChannel> channel) noexcept {
  // A copy: the attempt goes with the others.
  const Address remote = attempt.remote();  // NOLINT(performance-unnecessary-copy-*)
  timer_.cancel();
  running_.clear();
  events_.race_won(std::move(channel), remote);
}

void ConnectRace::attempt_failed(Attempt& attempt, std::error_code error) noexcept {
  record(error, "connect to " + attempt.remote().to_string());
  const bool latest = running_.back().get() == &attempt;
  std::erase_if(running_, [&](const auto& other) { return other.get() == &attempt; });
  if (!latest) return;
  timer_.cancel();
  start_next();
}

}  // namespace weir::inline v0::detail
