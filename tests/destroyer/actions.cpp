// What is done at a point of the program, and to what.
#include <algorithm>
#include <utility>

#include "world.h"

namespace weir::destroyer {
namespace {

constexpr std::size_t deepest = 5;

/// Where what is thrown goes to the library.
bool may_throw(Point point) {
  switch (point) {
    case Point::between_runs:
    case Point::destructor:
    case Point::release: return false;
    default: return true;
  }
}

}  // namespace

void World::act(Point point, End* here) {
  if (is_settling() || choices_.over() || depth_ >= deepest) return;
  struct Depth {
    explicit Depth(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Depth() { --depth_; }
    std::size_t& depth_;
  };
  const Depth depth(depth_);
  const Journal::Nested nested(journal_);
  // Fewer the deeper, so that it comes to an end.
  std::size_t count = choices_.below(8);
  count = count < 4 ? 0 : count - 3;
  if (depth_ > 2) count = std::min<std::size_t>(count, 1);
  if (point == Point::between_runs) count += 1;
  for (std::size_t i = 0; i < count && !is_settling() && !choices_.over(); ++i) {
    if (journal_.steps() >= last_step_) return;
    one_action(point, here);
  }
  if (may_throw(point) && choices_.chance(1)) throw_some(point, here);
}

/// Where an exception ends a connection that is cut off; it does no harm to say so where it does not.
void World::throw_some(Point point, End* here) {
  if (auto* const end = dynamic_cast<StreamEnd*>(here)) end->cut();
  const std::size_t kind = choices_.below(8);
  journal_.step(kind == 0 ? "throw what is fatal" : "throw", static_cast<std::size_t>(point));
  if (kind == 0) throw Fatal();
  if (kind < 4) throw std::system_error(std::make_error_code(std::errc::io_error), "destroyer");
  throw Thrown();
}

/// Often the one whose callback it is, or one that lives.
End* World::some_end(End* here) {
  if (here != nullptr && choices_.chance(65)) return here;
  if (ends_.empty()) return nullptr;
  const std::size_t start = choices_.below(ends_.size());
  const bool any = choices_.chance(10);
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    End* const end = ends_[(start + i) % ends_.size()].get();
    if (end->is_live() || (any && end->is_made())) return end;
  }
  return nullptr;
}

void World::one_action(Point point, End* here) {
  const std::size_t machine = here != nullptr ? here->machine() : choices_.below(machines_.size());
  switch (choices_.below(32)) {
    case 0:
    case 1:
    case 2: return open(machine);
    case 3: return use_server();
    case 4:
    case 5: return use_loop(machine, point);
    case 6:
      if (openers_.empty() || !choices_.chance(20)) break;
      journal_.step("cancel an opener");
      {
        Opener& opener = openers_[choices_.below(openers_.size())];
        if (opener.done() || loop(opener.machine) == nullptr) return;
        if (auto* const end = dynamic_cast<StreamEnd*>(opener.end.get())) end->cut();
        const auto cancel = opener.cancel;
        return cancel();
      }
    case 7:
      if (faulty_ && choices_.chance(10)) return fault(point);
      break;
    default: break;
  }
  End* const end = some_end(here);
  if (end == nullptr) return open(machine);
  end->act();
}

void World::use_loop(std::size_t machine, Point point) {
  EventLoop* const its = loop(machine);
  if (its == nullptr) return;
  switch (choices_.below(16)) {
    case 0: journal_.step("stop"); return its->stop();
    case 1: {
      if (point == Point::destructor) return;
      return misuse(*its);
    }
    case 2: journal_.step("set_debug"); return its->set_debug(choices_.chance(20));
    case 3:
    case 4:
    case 5:
    case 6:
    case 7: {
      const auto delay = some_time();
      journal_.step("call_later");
      const auto boot = machines_[machine].boot;
      attempt("call_later()",
              [&] {
                its->call_later(delay, [this, machine, boot] {
                  journal_.require(boot == machines_[machine].boot,
                                   "a timer of a loop that is gone");
                  journal_.event("timer");
                  act(Point::call_later, nullptr);
                });
              },
              {.wrong_state = its->is_closed()});
      return;
    }
    default:
      journal_.step("call_soon");
      attempt("call_soon()",
              [&] {
                its->call_soon([this] {
                  journal_.event("callback");
                  act(Point::call_soon, nullptr);
                });
              },
              {.wrong_state = its->is_closed()});
  }
}

/// What may not be done while a loop runs.
void World::misuse(EventLoop& its) {
  if (!its.is_running()) return;
  journal_.step("misuse of a running loop");
  journal_.require(!attempt("run_once()", [&] { its.run_once(); }, {.wrong_state = true}),
                   "a running loop can be run [L2]");
  journal_.require(!attempt("close()", [&] { its.close(); }, {.wrong_state = true}),
                   "a running loop can be closed [L6]");
}

void World::use_server() {
  if (servers_.empty()) return;
  const std::size_t index = choices_.below(servers_.size());
  const Server server = servers_[index].server;
  if (server.get_loop() == nullptr) return;
  const auto cut_clients = [&] {
    for (const auto& end : ends_) {
      auto* const stream = dynamic_cast<StreamEnd*>(end.get());
      if (stream != nullptr && stream->server() == index) stream->cut();
    }
  };
  switch (choices_.below(16)) {
    case 0:
      journal_.step("close a server", index);
      server.close();
      journal_.require(!server.is_serving() && server.sockets().empty(),
                       "a closed server serves [V9]");
      return;
    case 1: journal_.step("close_clients", index); return server.close_clients();
    case 2:
      journal_.step("abort_clients", index);
      cut_clients();
      return server.abort_clients();
    case 3:
      journal_.step("wait_closed", index);
      servers_[index].waiting.push_back(server.wait_closed());
      return;
    default: static_cast<void>(server.sockets());
  }
}

// --- Faults of a simulated network --------------------------------------------------------------------

LinkOptions World::some_link() {
  LinkOptions link;
  if (choices_.chance(50)) link.loss = static_cast<double>(choices_.below(20)) / 100;
  if (choices_.chance(30)) link.duplicate = static_cast<double>(choices_.below(20)) / 100;
  if (choices_.chance(30)) link.reorder = static_cast<double>(choices_.below(30)) / 100;
  if (choices_.chance(30)) link.max_delay = std::chrono::milliseconds(choices_.between(1, 200));
  if (choices_.chance(20)) link.bytes_per_second = choices_.between(10'000, 10'000'000);
  return link;
}

void World::fault(Point point) {
  const std::size_t one = choices_.below(machines_.size());
  const std::size_t other = (one + 1 + choices_.below(machines_.size() - 1)) % machines_.size();
  const SimulatedHost& host = machines_[one].host;
  const SimulatedHost& peer = machines_[other].host;
  switch (choices_.below(8)) {
    case 0: journal_.step("partition", one, other); return network_->partition(host, peer);
    case 1:
      journal_.step("partition one way", one, other);
      return network_->partition_one_way(host, peer);
    case 2:
    case 3:
    case 4: journal_.step("heal"); return network_->heal();
    case 5:
      journal_.step("another link", one, other);
      return network_->set_link(host, peer, some_link());
    case 6: journal_.step("isolate", one); return network_->isolate(host);
    default:
      if (!host.is_up()) {
        if (point == Point::between_runs) restart(one);
        return;
      }
      if (!choices_.chance(30) || point == Point::destructor) return;
      journal_.step("crash", one);
      set_gone(one);
      return network_->crash(host);
  }
}

}  // namespace weir::destroyer
