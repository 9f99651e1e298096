#include "link.h"

#include <utility>

namespace weir_tool {
namespace {

/// Reading is paused as soon as anything has to wait, and resumed when nothing does.
constexpr weir::WriteBufferLimits nothing_waits{.high = 0, .low = 0};

}  // namespace

void Link::Side::stream_made(Stream stream) {
  stream_ = std::move(stream);
  state_ = State::made;
  stream_.set_write_buffer_limits(nothing_waits);
  if (other_.state_ == State::made) {
    other_.stream_.resume_reading();
  } else {
    stream_.pause_reading();
  }
  link_.made(end_);
  if (other_.is_lost()) stream_.abort();
}

bool Link::Side::eof_received() {
  ended_ = true;
  if (stream_.is_cut_off() && !link_.closing_) link_.cut_off(end_);
  link_.ended(end_);
  return stream_.can_write_eof();  // the other direction goes on, if it can
}

void Link::Side::connection_lost(const weir::CloseReason& reason) {
  state_ = State::lost;
  link_.lost(end_, reason);
  link_.left(end_, reason);
  link_.finish_if_lost();
}

void Link::pass(End from, std::span<const std::byte> data) {
  (from == End::near ? counts_.forward : counts_.back) += data.size();
  stream_behind(from).write(data);
}

void Link::pass_end(End from) {
  side(from).be_through();
  Side& behind = side(other(from));
  if (behind.is_through() || side(from).is_lost()) {
    close_ends();
  } else if (behind.stream().can_write_eof()) {
    behind.stream().write_eof();
  } else {
    close_when_silent(behind);
  }
}

void Link::left(End end, const weir::CloseReason& reason) {
  if (end == End::near && !reason && near_.has_said_all() && far_.is_made() && !closing_) {
    close_when_silent(far_);  // it was told the end, and may not be through with what it got
  } else {
    close_ends();
  }
}

void Link::give_up() {
  far_.never();
  close_ends();
  finish_if_lost();
}

void Link::close_when_silent(Side& side) {
  // is_silent() once, so that what was heard before does not count.
  static_cast<void>(side.is_silent());
  silence_.cancel();
  silence_ = loop_.call_later(linger_, [self = shared_from_this(), this, &side] {
    if (!side.is_silent()) return close_when_silent(side);
    waited(side.end());
    close_ends();
  });
}

void Link::close_ends() {
  closing_ = true;
  near_.stream().close();
  far_.stream().close();
}

void Link::abort_ends() {
  closing_ = true;
  near_.stream().abort();
  far_.stream().abort();
}

void Link::reset_ends() {
  closing_ = true;
  near_.stream().reset();
  far_.stream().reset();
}

void Link::finish_if_lost() {
  if (!near_.is_lost() || !far_.is_lost() || std::exchange(over_, true)) return;
  silence_.cancel();
  over();
}

}  // namespace weir_tool
