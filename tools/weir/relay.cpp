#include "relay.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "errors.h"
#include "service.h"
#include "session.h"
#include "terminal.h"
#include "url.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;
using TimePoint = weir::EventLoop::TimePoint;

constexpr auto status_interval = 1s;
/// Every connection, and whose turn it is.
class Relay {
 public:
  Relay(weir::EventLoop& loop, const RelayCommand& command, Url from, Url to)
      : junction_(loop, command.grace_seconds, command.linger_seconds, std::move(to)),
        most_running_(command.max_connections),
        from_(std::move(from)) {}

  void run(StatusWish wish);

 private:
  class RelaySession;

  weir::EventLoop& loop() const { return junction_.loop(); }
  Service& service() { return junction_.service(); }
  bool is_full() const { return most_running_ > 0 && running_ >= most_running_; }

  void accepted(const std::shared_ptr<Session>& session);
  void start_waiting();
  void session_over(const Session& session);

  void tick();
  std::string status_line();

  Junction junction_;
  std::size_t most_running_;
  Url from_;
  std::deque<std::shared_ptr<Session>> waiting_;  // accepted, but more than may run
  std::size_t running_ = 0;
  bool shows_status_ = false;
  TimePoint shown_at_;
  std::uint64_t bytes_shown_ = 0;
};

class Relay::RelaySession final : public Session {
 public:
  explicit RelaySession(Relay& relay) : Session(relay.junction_), relay_(relay) {}

 private:
  void accepted() override {
    relay_.accepted(std::static_pointer_cast<Session>(shared_from_this()));
  }
  void over() override {
    relay_.session_over(*this);
    Session::over();
  }

  Relay& relay_;
};

void Relay::run(StatusWish wish) {
  const bool uses_stdio = is<StdioUrl>(from_) || is<StdioUrl>(junction_.target());
  shows_status_ = wish == StatusWish::always || (wish == StatusWish::automatic && !uses_stdio &&
                                                 service().notices().interactive());
  shown_at_ = loop().time();
  service().serve(from_, [this] { return std::make_shared<RelaySession>(*this)->near(); });
  service().announce(uses_stdio ? stderr : stdout);
  if (shows_status_) loop().call_later(status_interval, [this] { tick(); });
  service().run();
  service().notices().line(junction_.summary());
}

// --- Whose turn it is ----------------------------------------------------------------------------

void Relay::accepted(const std::shared_ptr<Session>& session) {
  // Standard input and output are there once.
  if (is<StdioUrl>(junction_.target())) service().stop_listening();
  waiting_.push_back(session);
  start_waiting();
}

void Relay::start_waiting() {
  while (!waiting_.empty() && !is_full()) {
    const std::shared_ptr<Session> next = std::move(waiting_.front());
    waiting_.pop_front();
    if (next->is_over()) continue;
    ++running_;
    next->start();
  }
}

void Relay::session_over(const Session& session) {
  if (session.is_running()) --running_;
  start_waiting();
}

// --- What is told --------------------------------------------------------------------------------

void Relay::tick() {
  service().notices().status(status_line());
  loop().call_later(status_interval, [this] { tick(); });
}

std::string Relay::status_line() {
  const TimePoint now = loop().time();
  const std::uint64_t bytes = junction_.bytes().forward + junction_.bytes().back;
  const double rate = static_cast<double>(bytes - std::exchange(bytes_shown_, bytes)) /
                      std::chrono::duration<double>(now - std::exchange(shown_at_, now)).count();
  const Conversations& connections = service().conversations();
  const std::size_t waiting = connections.open() - running_;
  return fmt::format("{} open{}, {} in all   {}   {}/s", running_,
                     waiting > 0 ? fmt::format(", {} waiting", waiting) : "", connections.total(),
                     amounts(junction_.bytes()), format_bytes(static_cast<std::uint64_t>(rate)));
}

}  // namespace

int run_relay(const RelayCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("relay");
  Url from = parse_url(command.listen_url, UrlRole::relay_listen);
  Url to = parse_url(command.target_url, UrlRole::relay_target);
  if (is<StdioUrl>(from) && is<StdioUrl>(to)) {
    throw UsageError("stdio: twice; standard input and output are one end, give another one too");
  }
  weir::EventLoop loop({.backend = command.backend});
  Relay(loop, command, std::move(from), std::move(to)).run(command.status);
  return exit_ok;
}

}  // namespace weir_tool
