#include "relay.h"

#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "errors.h"
#include "link.h"
#include "service.h"
#include "terminal.h"
#include "url.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;
using TimePoint = weir::EventLoop::TimePoint;

constexpr auto status_interval = 1s;
/// A target that is down fails every connection: that many of them in a second are told one by one.
constexpr std::size_t most_failures_told = 5;

std::string in_words(const std::exception_ptr& error) { return weir::CloseReason(error).message(); }

std::string amounts(const ByteCounts& bytes) {
  return fmt::format("{} to the target, {} back", format_bytes(bytes.forward),
                     format_bytes(bytes.back));
}

/// Every connection, and whose turn it is.
class Relay {
 public:
  Relay(weir::EventLoop& loop, const RelayCommand& command, Url from, Url to)
      : service_(loop, command.grace_seconds),
        linger_(command.linger_seconds),
        most_running_(command.max_connections),
        from_(std::move(from)),
        to_(std::move(to)) {}

  void run(StatusWish wish);

 private:
  class Session;

  weir::EventLoop& loop() const { return service_.loop(); }
  bool is_full() const { return most_running_ > 0 && running_ >= most_running_; }

  void accepted(Session& session);
  void start_waiting();
  void session_over(Session& session);

  void failed(const Session& session, std::string_view what);
  void tick();
  std::string status_line();
  std::string summary() const;

  Service service_;
  std::chrono::duration<double> linger_;
  std::size_t most_running_;
  Url from_;
  Url to_;
  TimePoint began_;
  ByteCounts bytes_;
  std::deque<std::shared_ptr<Session>> waiting_;  // accepted, but more than may run
  std::size_t running_ = 0;
  std::size_t failures_ = 0;  // in this interval
  bool shows_status_ = false;
  TimePoint shown_at_;
  std::uint64_t bytes_shown_ = 0;
};

/// An accepted connection, and the one to the target.
class Relay::Session final : public Link, public Conversation {
 public:
  explicit Session(Relay& relay) : Link(relay.loop(), relay.linger_, relay.bytes_), relay_(relay) {}

  const std::string& name() const { return name_; }

  void start() {
    running_ = true;
    const auto self = std::static_pointer_cast<Session>(shared_from_this());
    open_stream(relay_.loop(), relay_.to_, far())
        .add_done_callback([self](const weir::Future<>& opened) {
          if (const std::exception_ptr error = opened.exception()) {
            self->relay_.failed(*self, in_words(error));
            self->give_up();
          }
        });
  }
  bool is_running() const { return running_; }

  void close() override {
    close_ends();
    if (!running_) give_up();
  }
  void abort() override {
    abort_ends();
    if (!running_) give_up();
  }

 private:
  void made(End end) override {
    if (end == End::far) return;
    relay_.service_.conversations().began(*this);
    name_ = fmt::format("connection {}", relay_.service_.conversations().total());
    if (const auto peer = near_stream().peer(); peer && peer->port() != 0) {
      name_ += fmt::format(" from {}", peer->to_string());
    }
    relay_.accepted(*this);
  }

  void lost(End end, const weir::CloseReason& reason) override {
    if (reason) {
      relay_.failed(*this, reason.is_exception()
                               ? reason.message()
                               : fmt::format("{}: {}", end == End::near ? "its peer" : "the target",
                                             reason.message()));
    }
    if (end == End::near && !running_) give_up();
  }

  void cut_off(End end) override {
    relay_.failed(*this, fmt::format("{} ended without a goodbye of TLS; bytes may be missing",
                                     end == End::near ? "its peer" : "the target"));
  }

  void waited(End end) override {
    if (end == End::near || !is<ExecUrl>(relay_.to_)) return;
    relay_.failed(*this,
                  fmt::format("the command went on for {:g} s after the end of its input, and is "
                              "told to end; --linger gives it more time",
                              relay_.linger_.count()));
  }

  void over() override { relay_.session_over(*this); }

  Relay& relay_;
  std::string name_;
  bool running_ = false;
};

void Relay::run(StatusWish wish) {
  const bool uses_stdio = is<StdioUrl>(from_) || is<StdioUrl>(to_);
  shows_status_ = wish == StatusWish::always || (wish == StatusWish::automatic && !uses_stdio &&
                                                 service_.notices().interactive());
  began_ = shown_at_ = loop().time();
  service_.serve(from_, [this] { return std::make_shared<Session>(*this)->near(); });
  service_.announce(uses_stdio ? stderr : stdout);
  loop().call_later(status_interval, [this] { tick(); });
  service_.run();
  service_.notices().line(summary());
}

// --- Whose turn it is ----------------------------------------------------------------------------

void Relay::accepted(Session& session) {
  // Standard input and output are there once.
  if (is<StdioUrl>(to_)) service_.stop_listening();
  waiting_.push_back(std::static_pointer_cast<Session>(session.shared_from_this()));
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

void Relay::session_over(Session& session) {
  if (session.is_running()) --running_;
  start_waiting();
  service_.conversations().ended(session);
}

// --- What is told --------------------------------------------------------------------------------

void Relay::failed(const Session& session, std::string_view what) {
  if (++failures_ > most_failures_told) return;
  service_.notices().line(fmt::format("weir: {}: {}", session.name(), what));
}

void Relay::tick() {
  if (failures_ > most_failures_told) {
    service_.notices().line(
        fmt::format("weir: {} more failures like these", failures_ - most_failures_told));
  }
  failures_ = 0;
  if (shows_status_) service_.notices().status(status_line());
  loop().call_later(status_interval, [this] { tick(); });
}

std::string Relay::status_line() {
  const TimePoint now = loop().time();
  const std::uint64_t bytes = bytes_.forward + bytes_.back;
  const double rate = static_cast<double>(bytes - std::exchange(bytes_shown_, bytes)) /
                      std::chrono::duration<double>(now - std::exchange(shown_at_, now)).count();
  const Conversations& connections = service_.conversations();
  const std::size_t waiting = connections.open() - running_;
  return fmt::format("{} open{}, {} in all   {}   {}/s", running_,
                     waiting > 0 ? fmt::format(", {} waiting", waiting) : "", connections.total(),
                     amounts(bytes_), format_bytes(static_cast<std::uint64_t>(rate)));
}

std::string Relay::summary() const {
  const std::uint64_t total = service_.conversations().total();
  return fmt::format("relayed {} {}: {}, in {}", format_count(total),
                     total == 1 ? "connection" : "connections", amounts(bytes_),
                     format_duration(loop().time() - began_));
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
