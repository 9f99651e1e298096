#include "simulated_world.h"

#include <weir/error.h>

#include <algorithm>

namespace weir::inline v0::detail::simulated {
namespace {

std::exception_ptr crash_of(const Host& host) {
  return std::make_exception_ptr(
      WrongStateError("The simulated host " + host.name() + " has crashed"));
}

}  // namespace

void World::leave(Member& member) noexcept {
  const auto found = std::ranges::find(members_, &member);
  if (giving_turns_) {
    *found = nullptr;
  } else {
    members_.erase(found);
  }
}

/// Nothing, too, for who waits, and for what was on a host that crashed.
std::optional<TimePoint> World::turn_of(const Member* member) const noexcept {
  if (member == nullptr || member == waiting_ || member->crashed) return std::nullopt;
  return member->loop == nullptr ? std::nullopt : member->loop->next_turn();
}

/// True if there was one who could use it.
bool World::give_turns() noexcept {
  bool used = false;
  giving_turns_ = true;
  // More may come meanwhile. NOLINTNEXTLINE(modernize-loop-convert)
  for (std::size_t index = 0; index < members_.size(); ++index) {
    Member* const member = members_[index];
    const std::optional<TimePoint> due = turn_of(member);
    if (!due || *due > network_.now()) continue;
    used = true;
    std::exception_ptr failure = member->loop->run_turn();
    if (member->crashed) {
      member->loop->end_with(nullptr);
    } else if (failure != nullptr) {
      fail(std::move(failure));
    }
  }
  giving_turns_ = false;
  std::erase(members_, nullptr);
  return used;
}

void World::wait(Member& self, std::optional<TimePoint> deadline) noexcept {
  // Nothing runs there any more, whoever tries.
  if (self.crashed && self.loop != nullptr) return self.loop->end_with(crash_of(self.host));
  if (giving_turns_) {  // this is a turn, and another waits
    self.woken = false;
    network_.advance_to(network_.now());
    return self.signals.collect();
  }
  waiting_ = &self;
  network_.advance_to(network_.now());  // what is due arrives without time moving on
  give_turns();
  advance(deadline, [&self] { return !self.signals.empty() || self.woken.load(); });
  self.woken = false;
  waiting_ = nullptr;
  self.signals.collect();
}

/// Moves time on until `ended`, or who waits has something to do, but not past `deadline`. Packets whose arrival
/// nobody hears of, since a user reads nothing now, do not end the wait.
void World::advance(std::optional<TimePoint> deadline,
                    const std::function<bool()>& ended) noexcept {
  for (; !ended(); give_turns()) {
    const std::optional<TimePoint> own = waiting_ != nullptr && waiting_->loop != nullptr
                                             ? waiting_->loop->next_turn()
                                             : std::nullopt;
    if (own && (!deadline || *own < *deadline)) deadline = own;  // others may have given it work
    if (deadline && *deadline <= network_.now()) return;
    const std::optional<TimePoint> next = next_event();
    if (next && (!deadline || *next <= *deadline)) {
      network_.advance_to(*next);
    } else if (deadline) {
      network_.advance_to(*deadline);
    } else {
      sleep_until_woken();
    }
  }
}

std::optional<TimePoint> World::next_event() noexcept {
  std::optional<TimePoint> next = network_.agenda().next();
  for (const Member* member : members_) {
    const std::optional<TimePoint> due = turn_of(member);
    if (due && (!next || *due < *next)) next = due;
  }
  return next;
}

bool World::run(TimePoint time, const std::function<bool()>& done) {
  bool is_done = false;
  const auto ended = [&] {
    try {
      is_done = failure_ == nullptr && done && done();
    } catch (...) {
      failure_ = std::current_exception();
    }
    return is_done || failure_ != nullptr;
  };
  network_.advance_to(network_.now());
  give_turns();
  advance(time, ended);
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  return is_done;
}

void World::fail(std::exception_ptr failure) noexcept {
  if (waiting_ != nullptr && waiting_->loop != nullptr) {
    waiting_->loop->end_with(std::move(failure));
    waiting_->woken = true;
  } else if (failure_ == nullptr) {
    failure_ = std::move(failure);
  }
}

void World::wake(Member& member) noexcept {
  const std::lock_guard lock(mutex_);
  member.woken = true;
  woken_.notify_one();
}

/// Who has no turns cannot use it.
bool World::is_anybody_woken() const noexcept {
  return std::ranges::any_of(members_, [this](const Member* member) {
    return member->woken.load() && (member == waiting_ || turn_of(member));
  });
}

void World::sleep_until_woken() noexcept {
  std::unique_lock lock(mutex_);
  woken_.wait(lock, [this] { return is_anybody_woken(); });
}

// --- Faults --------------------------------------------------------------------------------------

void World::crash(Host& host) {
  if (!host.is_up()) return;
  host.crash();
  const std::exception_ptr failure = crash_of(host);
  for (Member* const member : std::vector(members_)) {  // some will leave
    if (std::ranges::find(members_, member) == members_.end() || member == nullptr) continue;
    if (&member->host != &host || member->loop == nullptr) continue;
    member->crashed = true;
    if (member == waiting_) member->woken = true;
    member->loop->end_with(failure);  // which closes it, unless it runs
  }
  for (const auto& other : network_.hosts()) other->tcp().trouble();
}

void World::restart(Host& host) {
  if (host.is_up()) return;
  for (const Member* member : members_) {
    // One whose turn it is ends with that.
    if (member != nullptr && &member->host == &host && (!giving_turns_ || member == waiting_)) {
      throw WrongStateError("A loop from before the crash of the simulated host " + host.name() +
                            " is still open");
    }
  }
  host.restart();
}

void World::set_cut(Host& from, Host& to, bool cut) noexcept {
  network_.set_link_cut(from, to, cut);
  if (!cut) return;
  from.tcp().trouble();
  to.tcp().trouble();
}

}  // namespace weir::inline v0::detail::simulated
