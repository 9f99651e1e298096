#include "chaos.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "chaos_pipe.h"
#include "chaos_script.h"
#include "errors.h"
#include "faults.h"
#include "service.h"
#include "session.h"
#include "terminal.h"
#include "url.h"

namespace weir_tool {
namespace {

using Action = ChaosPipe::Action;

constexpr std::array directions{Direction::forward, Direction::back};

/// What is done to each connection.
struct FaultPlan {
  std::uint64_t seed = 0;
  Faults forward;
  Faults back;
  std::vector<ScriptLine> script;

  ChaosPipe pipe(std::uint64_t connection, Direction direction) const {
    const bool is_forward = direction == Direction::forward;
    return {is_forward ? forward : back, faults_of(script, connection, direction),
            seed_of_part(seed_of_part(seed, connection), is_forward ? 0 : 1)};
  }
};

FaultPlan make_plan(const ChaosCommand& command) {
  FaultPlan plan;
  plan.seed = command.seed ? *command.seed : std::random_device()();
  for (const std::string& list : command.both) change_faults(plan.forward, list);
  plan.back = plan.forward;
  for (const std::string& list : command.forward) change_faults(plan.forward, list);
  for (const std::string& list : command.back) change_faults(plan.back, list);
  if (!command.script_path.empty()) plan.script = read_script(command.script_path);
  for (const std::string& text : command.script_lines) {
    if (auto line = parse_script_line(text)) plan.script.push_back(*std::move(line));
  }
  return plan;
}

std::string count_of(std::uint64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", format_count(count), thing, count == 1 ? "" : "s");
}

class Chaos {
 public:
  Chaos(weir::EventLoop& loop, const ChaosCommand& command, FaultPlan plan, Url from, Url to)
      : junction_(loop, command.grace_seconds, no_linger, std::move(to)),
        plan_(std::move(plan)),
        from_(std::move(from)) {}

  void run();

 private:
  class ChaosSession;

  /// Sockets can end one direction alone.
  static constexpr double no_linger = 0;

  Junction junction_;
  FaultPlan plan_;
  Url from_;
  std::uint64_t resets_ = 0;
  std::uint64_t stalls_ = 0;
  std::uint64_t partitions_ = 0;
};

/// A link whose directions are pipes of chaos.
class Chaos::ChaosSession final : public Session {
 public:
  explicit ChaosSession(Chaos& chaos) : Session(chaos.junction_), chaos_(chaos) {}

  /// Neither end has said all it had to, so there is no regular end.
  void close() override { is_open() ? reset() : Session::close(); }
  void abort() override { is_open() ? reset() : Session::abort(); }

 private:
  struct Crossing {
    ChaosPipe pipe;
    weir::TimerHandle timer;
  };

  bool is_open() const { return forward_.has_value(); }
  static End source(Direction direction) {
    return direction == Direction::forward ? End::near : End::far;
  }
  static Direction direction_from(End end) {
    return end == End::near ? Direction::forward : Direction::back;
  }
  static Direction direction_to(End end) {
    return end == End::near ? Direction::back : Direction::forward;
  }
  Crossing& crossing(Direction direction) {
    return direction == Direction::forward ? *forward_ : *back_;
  }
  ChaosPipe::Time now() const { return chaos_.junction_.loop().time() - opened_at_; }

  void accepted() override {
    number_ = chaos_.junction_.service().conversations().total();
    start();
  }
  void made(End end) override;
  void received(End from, std::span<const std::byte> data) override;
  void ended(End from) override;
  void clogged(End end) override;
  void drained(End end) override;
  void left(End end, const weir::CloseReason& reason) override;
  void over() override;

  void advance(Direction direction);
  /// Whether the connection goes on.
  bool act(Direction direction, const Action& action);
  void wake_at(Direction direction, ChaosPipe::Time time);
  void tell(std::string_view what, Direction direction);
  void reset();
  void stop();

  Chaos& chaos_;
  std::uint64_t number_ = 0;
  weir::EventLoop::TimePoint opened_at_;
  std::optional<Crossing> forward_;
  std::optional<Crossing> back_;
};

void Chaos::run() {
  Service& service = junction_.service();
  service.serve(from_, [this] { return std::make_shared<ChaosSession>(*this)->near(); });
  service.notices().line(fmt::format("seed {}", plan_.seed));
  service.announce(stdout);
  service.run();
  service.notices().line(fmt::format("{}; {}, {} and {}", junction_.summary(),
                                     count_of(resets_, "reset"), count_of(stalls_, "stall"),
                                     count_of(partitions_, "partition")));
}

// --- What the ends bring goes into the pipes -----------------------------------------------------

void Chaos::ChaosSession::made(End end) {
  Session::made(end);
  if (end == End::near) return;
  opened_at_ = chaos_.junction_.loop().time();
  forward_.emplace(Crossing{chaos_.plan_.pipe(number_, Direction::forward), {}});
  back_.emplace(Crossing{chaos_.plan_.pipe(number_, Direction::back), {}});
  for (const Direction direction : directions) advance(direction);
}

void Chaos::ChaosSession::received(End from, std::span<const std::byte> data) {
  if (!is_open()) return;
  crossing(direction_from(from)).pipe.push(data, now());
  advance(direction_from(from));
}

void Chaos::ChaosSession::ended(End from) {
  if (!is_open()) return;
  crossing(direction_from(from)).pipe.push_end(now());
  advance(direction_from(from));
}

void Chaos::ChaosSession::clogged(End end) {
  if (is_open()) crossing(direction_to(end)).pipe.block();
}

void Chaos::ChaosSession::drained(End end) {
  if (!is_open()) return;
  crossing(direction_to(end)).pipe.unblock();
  advance(direction_to(end));
}

void Chaos::ChaosSession::left(End end, const weir::CloseReason& reason) {
  if (!is_open()) return Session::left(end, reason);
  ChaosPipe& from = crossing(direction_from(end)).pipe;
  reason ? from.push_loss(now()) : from.push_end(now());
  crossing(direction_to(end)).pipe.discard();
  for (const Direction direction : directions) advance(direction);
}

void Chaos::ChaosSession::over() {
  stop();
  Session::over();
}

// --- What comes out is passed on -----------------------------------------------------------------

void Chaos::ChaosSession::advance(Direction direction) {
  if (!is_open()) return;
  Crossing& through = crossing(direction);
  through.timer.cancel();
  if (!act(direction, through.pipe.next(now()))) return;
  if (through.pipe.has_room()) {
    stream(source(direction)).resume_reading();
  } else {
    stream(source(direction)).pause_reading();
  }
}

bool Chaos::ChaosSession::act(Direction direction, const Action& action) {
  using Kind = Action::Kind;
  switch (action.kind) {
    case Kind::wait: wake_at(direction, action.time); return true;
    case Kind::deliver: pass(source(direction), action.bytes); break;
    case Kind::end: pass_end(source(direction)); break;
    case Kind::lose: reset(); return false;
    case Kind::reset:
      ++chaos_.resets_;
      tell("reset", direction);
      reset();
      return false;
    case Kind::stall:
      ++chaos_.stalls_;
      tell(fmt::format("stall of {}", format_duration(action.time)), direction);
      break;
    case Kind::partition:
      ++chaos_.partitions_;
      tell(fmt::format("partition of {}", format_duration(action.time)), direction);
      break;
  }
  wake_at(direction, now());  // the rest in the next turn, so that others have theirs
  return true;
}

void Chaos::ChaosSession::wake_at(Direction direction, ChaosPipe::Time time) {
  if (time == ChaosPipe::never) return;
  crossing(direction).timer = chaos_.junction_.loop().call_at(
      opened_at_ + time, [self = std::static_pointer_cast<ChaosSession>(shared_from_this()),
                          direction] { self->advance(direction); });
}

void Chaos::ChaosSession::tell(std::string_view what, Direction direction) {
  chaos_.junction_.service().notices().line(
      fmt::format("{}: {} {} after {}", name(), what, to_string(direction),
                  count_of(crossing(direction).pipe.delivered(), "byte")));
}

void Chaos::ChaosSession::reset() {
  stop();
  reset_ends();
}

/// Nothing more goes through.
void Chaos::ChaosSession::stop() {
  for (std::optional<Crossing>* through : {&forward_, &back_}) {
    if (*through) (*through)->timer.cancel();
    through->reset();
  }
}

}  // namespace

int run_chaos(const ChaosCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("chaos");
  Url from = parse_url(command.listen_url, UrlRole::chaos_listen);
  Url to = parse_url(command.target_url, UrlRole::chaos_target);
  FaultPlan plan = make_plan(command);
  weir::EventLoop loop({.backend = command.backend});
  Chaos(loop, command, std::move(plan), std::move(from), std::move(to)).run();
  return exit_ok;
}

}  // namespace weir_tool
