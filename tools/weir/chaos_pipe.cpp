#include "chaos_pipe.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace weir_tool {
namespace {

using namespace std::chrono_literals;
using Kind = ChaosPipe::Action::Kind;

constexpr std::size_t largest_piece = std::size_t{64} * 1024;
constexpr std::uint64_t nowhere = std::numeric_limits<std::uint64_t>::max();

/// Delays end at whole ones of these, so that what comes within one is held as one.
constexpr std::chrono::nanoseconds tick = 1ms;
/// What a limited rate lets pass at once, in time; and how much of being late is caught up with.
constexpr std::uint64_t pieces_a_second = 100;
constexpr std::chrono::nanoseconds most_caught_up = 50ms;

}  // namespace

ChaosPipe::ChaosPipe(const Faults& faults, std::vector<TimedFault> script, std::uint64_t seed)
    : faults_(faults),
      script_(std::make_move_iterator(script.begin()), std::make_move_iterator(script.end())),
      jitter_random_(seed_of_part(seed, 0)),
      segment_random_(seed_of_part(seed, 1)),
      stall_random_(seed_of_part(seed, 2)),
      reset_random_(seed_of_part(seed, 3)),
      stall_point_(random_point(faults.stall, stall_random_)),
      reset_point_(random_point(faults.reset, reset_random_)) {}

// --- In ------------------------------------------------------------------------------------------

void ChaosPipe::push(std::span<const std::byte> data, Time now) {
  if (over_) return;
  const Time due = due_of_new(now);
  held_ += data.size();
  const bool joins = !chunks_.empty() && (chunks_.back().due == due || due <= now) &&
                     chunks_.back().bytes.size() + data.size() <= largest_piece;
  if (!joins) chunks_.push_back({due, {}});
  auto& bytes = chunks_.back().bytes;
  bytes.insert(bytes.end(), data.begin(), data.end());
}

void ChaosPipe::push_end(Time now) { push_ending(Ending::regular, now); }

void ChaosPipe::push_loss(Time now) { push_ending(Ending::loss, now); }

void ChaosPipe::push_ending(Ending ending, Time now) {
  if (ending_ >= ending) return;
  ending_ = ending;
  ending_due_ = due_of_new(now);
}

void ChaosPipe::discard() {
  chunks_.clear();
  taken_ = held_ = 0;
  ending_ = ending_told_;
  over_ = true;
}

ChaosPipe::Time ChaosPipe::due_of_new(Time now) {
  Time due = now;
  if (const Time most = faults_.latency + faults_.jitter; most > 0ns) {
    const auto jitter = static_cast<double>(faults_.jitter.count()) * jitter_random_.fraction();
    due += faults_.latency + Time(static_cast<Time::rep>(jitter));
    due = (due + tick - 1ns) / tick * tick;
  }
  return last_due_ = std::max(last_due_, due);  // nothing overtakes
}

// --- Out -----------------------------------------------------------------------------------------

ChaosPipe::Action ChaosPipe::next(Time now) {
  drop_delivered();
  if (over_) return {};
  if (Action action; run_script(now, action)) return action;
  if (blocked_) return {Kind::wait, next_script_time()};
  // A position is reached once the bytes before it are out of our hands.
  if (delivered_ >= reset_point_ || (faults_.reset_at > 0 && delivered_ >= faults_.reset_at)) {
    over_ = true;
    return {Kind::reset};
  }
  if (delivered_ >= stall_point_) {
    const Time duration(static_cast<Time::rep>(static_cast<double>(faults_.stall_for.count()) *
                                               stall_random_.fraction()));
    stall_point_ = random_point(faults_.stall, stall_random_);
    hold_until(now + duration);
    return {Kind::stall, duration};
  }
  if (const Time ready = ready_time(); ready > now) {
    return {Kind::wait, std::min(ready, next_script_time())};
  }
  if (!chunks_.empty()) return {Kind::deliver, never, take_piece(now)};
  ending_told_ = ending_;
  over_ = ending_ == Ending::loss;
  return {over_ ? Kind::lose : Kind::end};
}

void ChaosPipe::drop_delivered() {
  if (chunks_.empty() || taken_ < chunks_.front().bytes.size()) return;
  chunks_.pop_front();
  taken_ = 0;
}

/// Returns whether there is something to tell; then the rest of the script has to wait for the next call.
bool ChaosPipe::run_script(Time now, Action& action) {
  while (next_script_time() <= now) {
    const TimedFault line = std::move(script_.front());
    script_.pop_front();
    if (const auto* changed = std::get_if<FaultChange>(&line.fault)) {
      change(*changed);
    } else if (const auto* after = std::get_if<ResetAfter>(&line.fault)) {
      faults_.reset_at = delivered_ + after->bytes;
    } else if (const auto* partition = std::get_if<Partition>(&line.fault)) {
      hold_until(line.at + partition->duration);
      action = {Kind::partition, partition->duration};
      return true;
    } else {
      over_ = true;
      action = {Kind::reset};
      return true;
    }
  }
  return false;
}

void ChaosPipe::change(const FaultChange& change) {
  const Faults before = faults_;
  change(faults_);
  if (faults_.stall != before.stall) stall_point_ = random_point(faults_.stall, stall_random_);
  if (faults_.reset != before.reset) reset_point_ = random_point(faults_.reset, reset_random_);
  if (faults_.segments != before.segments) cut_point_ = delivered_;
  if (faults_.rate != before.rate) rate_free_ = {};
}

/// When the first of what is held may come out.
ChaosPipe::Time ChaosPipe::ready_time() const {
  if (!chunks_.empty()) return std::max({held_until_, chunks_.front().due, rate_free_});
  return ending_ != ending_told_ ? std::max(held_until_, ending_due_) : never;
}

std::span<const std::byte> ChaosPipe::take_piece(Time now) {
  const auto& bytes = chunks_.front().bytes;
  std::uint64_t size = std::min(bytes.size() - taken_, largest_piece);
  size = std::min({size, stall_point_ - delivered_, reset_point_ - delivered_});
  if (faults_.reset_at > 0) size = std::min(size, faults_.reset_at - delivered_);
  if (faults_.segments > 0) {
    if (cut_point_ == delivered_) cut_point_ += segment_random_.up_to(faults_.segments);
    size = std::min(size, cut_point_ - delivered_);
  }
  if (faults_.rate > 0) {
    size = std::min(size, std::max<std::uint64_t>(1, faults_.rate / pieces_a_second));
    rate_free_ = std::max(rate_free_, now - most_caught_up) +
                 Time(static_cast<Time::rep>(1e9 * static_cast<double>(size) /
                                             static_cast<double>(faults_.rate)));
  }
  const auto piece = std::span(bytes).subspan(taken_, static_cast<std::size_t>(size));
  taken_ += piece.size();
  held_ -= piece.size();
  delivered_ += piece.size();
  return piece;
}

/// A position behind the present one; memoryless, so that it does not matter when it is drawn.
std::uint64_t ChaosPipe::random_point(double per_kib, Random& random) const {
  if (per_kib <= 0) return nowhere;
  const double distance = 1 - std::log1p(-random.fraction()) * 1024 / per_kib;
  return distance < 0x1p62 ? delivered_ + static_cast<std::uint64_t>(distance) : nowhere;
}

}  // namespace weir_tool
