#include "world.h"

#include <algorithm>
#include <utility>

#include "files.h"

namespace weir::destroyer {
namespace {

using std::chrono::milliseconds;

/// How long everything may take to come to rest, of virtual and of real time: once closed, and once aborted.
constexpr std::chrono::nanoseconds flush = std::chrono::minutes(10);
constexpr std::chrono::nanoseconds real_flush = milliseconds(500);
constexpr std::chrono::nanoseconds patience = std::chrono::hours(3);
constexpr std::chrono::nanoseconds real_patience = std::chrono::seconds(60);

SimulationOptions some_simulation(Choices& choices) {
  SimulationOptions options;
  options.seed = choices.below(1'000'000) + 1;
  if (choices.chance(50)) options.max_segment = choices.between(1'000, 65'536);
  if (choices.chance(50)) options.buffer_size = choices.between(2'000, 300'000);
  return options;
}

}  // namespace

World::World(BackendKind backend, Choices& choices, Journal& journal, std::uint64_t steps)
    : backend_(backend),
      choices_(choices),
      journal_(journal),
      last_step_(journal.steps() + steps),
      checker_(std::make_shared<ContractChecker>([&journal](const ContractViolation& violation) {
        journal.broken(to_string(violation));
      })) {
  make_machines();
}

World::~World() { close_loops(); }

// --- Machines -----------------------------------------------------------------------------------------

void World::make_machines() {
  const bool several = backend_ == BackendKind::simulated && choices_.chance(60);
  if (!several) {
    LoopOptions options{.backend = backend_, .observers = {checker_}};
    options.simulation = some_simulation(choices_);
    machines_.push_back({.own = std::make_unique<EventLoop>(options)});
    return begin(*machines_.back().own);
  }
  SimulationOptions options = some_simulation(choices_);
  faulty_ = choices_.chance(70);
  if (faulty_ && choices_.chance(50)) options.link = some_link();
  network_ = std::make_unique<SimulatedNetwork>(options, std::vector{checker_});
  const std::size_t count = choices_.between(2, 3);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "host" + std::to_string(i);
    const bool programmed = i > 0 || choices_.chance(50);
    Machine machine{.programmed = programmed};
    if (programmed) {
      machine.host = network_->add_host(name, [this](EventLoop& loop) { begin(loop); });
    } else {
      machine.host = network_->add_host(name);
      machine.own = std::make_unique<EventLoop>(LoopOptions{.host = machine.host});
      begin(*machine.own);
    }
    machines_.push_back(std::move(machine));
  }
}

void World::begin(EventLoop& loop) {
  loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
    journal_.event("exception handler");
    journal_.require(!context.message.empty(), "a report without a message [L21]");
    act(Point::exception_handler, nullptr);
  });
  loop.set_fatal_exception_predicate([](const std::exception_ptr& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const Fatal&) {
      return true;
    } catch (...) {
      return false;
    }
  });
}

EventLoop* World::loop(std::size_t machine) const {
  const Machine& its = machines_.at(machine);
  if (its.programmed) return network_->loop(its.host);
  return its.own != nullptr && !its.own->is_closed() ? its.own.get() : nullptr;
}

/// Nothing there is told anything more.
void World::set_gone(std::size_t machine) {
  ++machines_[machine].boot;
  for (const auto& end : ends_) {
    if (end->machine() != machine || end->is_lost()) continue;
    end->set_gone();
    if (auto* const stream = dynamic_cast<StreamEnd*>(end.get())) stream->cut();
  }
}

void World::restart(std::size_t machine) {
  Machine& its = machines_[machine];
  if (its.host.is_up()) return;
  journal_.note("restart", machine);
  std::erase_if(openers_, [&](const Opener& opener) { return opener.machine == machine; });
  its.own.reset();
  network_->restart(its.host);
  if (its.programmed) return;
  its.own = std::make_unique<EventLoop>(LoopOptions{.host = its.host});
  begin(*its.own);
}

// --- Running ------------------------------------------------------------------------------------------

void World::run() {
  phase_ = Phase::random;
  random_phase();
  const bool in_order = choices_.chance(70);
  if (in_order) settle();
  close_loops();
  check_all();
}

void World::random_phase() {
  std::size_t idle = 0;
  while (!choices_.over() && journal_.steps() < last_step_ && idle < 100'000) {
    const std::uint64_t before = journal_.steps();
    act(Point::between_runs, nullptr);
    run_some();
    idle = journal_.steps() == before ? idle + 1 : 0;
  }
}

std::chrono::nanoseconds World::some_time() {
  if (is_real()) return std::chrono::microseconds(choices_.below(1'500));
  switch (choices_.below(8)) {
    case 0: return {};
    case 1: return milliseconds(choices_.below(100));
    case 2: return milliseconds(choices_.chance(10) ? choices_.below(100'000) : 1);
    default: return std::chrono::microseconds(choices_.below(3'000));
  }
}

/// What may come out of a run call.
template <class F>
void World::running(F run) {
  try {
    run();
  } catch (const Fatal&) {
    journal_.event("fatal");
  } catch (const WrongStateError&) {
    journal_.event("stopped");  // or crashed
  } catch (const std::system_error&) {
    journal_.event("failed");
  } catch (const std::invalid_argument&) {
    journal_.event("failed");
  } catch (const Thrown&) {
    journal_.event("failed");
  } catch (const CancelledError&) {
    journal_.event("cancelled");
  } catch (const std::exception& error) {
    journal_.broken(std::string("a run call threw ") + error.what());
  }
}

void World::run_some() {
  journal_.event("run");
  if (network_ && choices_.chance(60)) {
    const auto duration = some_time();
    return running([&] { network_->run_for(duration); });
  }
  EventLoop* const its = loop(choices_.below(machines_.size()));
  if (its != nullptr) {
    run_loop(*its);
  } else if (network_) {
    running([&] { network_->run_for({}); });
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      if (!machines_[i].host.is_up() && choices_.chance(30)) restart(i);
    }
  }
}

void World::run_loop(EventLoop& its) {
  const auto duration = some_time();
  const std::size_t kind = choices_.below(4);
  if (kind < 2) return running([&] { its.run_once(duration); });
  // Ends also if nothing else does.
  TimerHandle end = its.call_later(duration, [&its] { its.stop(); });
  const auto done = std::ranges::find_if(
      openers_, [&](const Opener& opener) { return loop(opener.machine) == &its; });
  if (kind == 2 && done != openers_.end()) {
    const auto run = done->run;
    running([&] { run(its); });
  } else {
    running([&] { its.run_forever(); });
  }
  end.cancel();
  std::erase_if(openers_, [](const Opener& opener) { return opener.done(); });
}

// --- The end ------------------------------------------------------------------------------------------

/// Everything is closed, faults are made good, and then it has to come to rest by itself.
void World::settle() {
  journal_.event("settle");
  phase_ = Phase::settling;
  if (network_) {
    network_->heal();
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      restart(i);
      for (std::size_t other = 0; other < i; ++other) {
        network_->set_link(machines_[i].host, machines_[other].host, {});
      }
    }
  }
  close_everything();
  for (std::size_t i = 0; network_ && i < machines_.size(); ++i) {
    // One that was stopped goes on.
    if (EventLoop* const its = loop(i)) running([&] { its->run_once({}); });
  }
  // Two that close and have much to say to each other would flush for ever. [S15]
  if (!comes_to_rest(is_real() ? real_flush : flush)) {
    journal_.event("abort what is left");
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      if (ends_[i]->is_live()) ends_[i]->abort();
    }
    journal_.require(comes_to_rest(is_real() ? real_patience : patience),
                     "what was closed does not come to rest");
  }
  for (const auto& end : ends_) {
    journal_.require(end->is_gone() || end->is_made() == end->is_lost(),
                     "connection_made() without connection_lost() [B2]");
    end->check_dead();
  }
}

bool World::comes_to_rest(std::chrono::nanoseconds limit) {
  EventLoop* const its = network_ ? nullptr : machines_.front().own.get();
  const auto now = [&] {
    return its != nullptr ? its->time().time_since_epoch() : network_->elapsed();
  };
  for (const auto last = now() + limit; !at_rest();) {
    const auto left = last - now();
    if (left <= left.zero()) return false;
    running([&] {
      if (network_) {
        network_->run_until([this] { return at_rest(); }, left);
      } else {
        its->run_once(is_real() ? milliseconds(1) : milliseconds(60'000));
      }
    });
  }
  return true;
}

void World::close_everything() {
  for (Opener& opener : openers_) {
    if (!opener.done() && choices_.chance(50)) opener.cancel();
  }
  for (const Listening& listening : servers_) {
    if (listening.server.get_loop() != nullptr) listening.server.close();
  }
  for (std::size_t i = 0; i < ends_.size(); ++i) {  // more may come
    const std::shared_ptr<End> end = ends_[i];
    if (!end->is_live()) continue;
    choices_.chance(50) ? end->close() : end->abort();
  }
}

bool World::at_rest() const {
  const auto is_over = [this](const Opener& opener) {
    return opener.done() || loop(opener.machine) == nullptr;
  };
  const auto is_closed = [](const Listening& listening) {
    return listening.server.get_loop() == nullptr ||
           std::ranges::all_of(listening.waiting, [](const auto& future) { return future.done(); });
  };
  return std::ranges::none_of(ends_, [](const auto& end) { return end->is_live(); }) &&
         std::ranges::all_of(openers_, is_over) && std::ranges::all_of(servers_, is_closed);
}

void World::close_loops() {
  if (phase_ == Phase::over) return;
  phase_ = Phase::closing;
  journal_.event("close the loops");
  for (std::size_t i = 0; i < machines_.size(); ++i) set_gone(i);
  openers_.clear();
  for (Machine& machine : machines_) machine.own.reset();
  network_.reset();
  phase_ = Phase::over;
}

/// Nothing is left.
void World::check_all() {
  for (const auto& end : ends_) {
    end->forget_opener();
    end->check_dead();
  }
  servers_.clear();
  journal_.require(Counted<StreamEnd>::objects == 0, "a protocol is left");
  journal_.require(Counted<DatagramEnd>::objects == 0, "a datagram protocol is left");
  journal_.require(buffers_ == 0, "a Buffer was not released");
}

// --- For its ends ---------------------------------------------------------------------------------------

Callback World::release() {
  ++buffers_;
  return [this] {
    --buffers_;
    act(Point::release, nullptr);
  };
}

void World::watch(const Future<std::uint64_t>& future) {
  future.add_done_callback([this](const Future<std::uint64_t>& done) {
    journal_.event("sendfile is done");
    if (done.cancelled() || done.exception() == nullptr) return;
    try {
      std::rethrow_exception(done.exception());
    } catch (const std::system_error&) {
    } catch (const WrongStateError&) {
    } catch (const SendfileNotAvailableError&) {
    } catch (const Thrown&) {  // by which it was aborted
    } catch (const std::exception& error) {
      journal_.broken(std::string("sendfile() failed with ") + error.what());
    }
  });
}

}  // namespace weir::destroyer
