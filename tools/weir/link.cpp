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
  other_.stream_.write_eof();
  if (other_.ended_) link_.close_ends();
  return true;  // the other direction goes on
}

void Link::Side::connection_lost(const weir::CloseReason& reason) {
  state_ = State::lost;
  link_.lost(end_, reason);
  link_.close_ends();
  link_.finish_if_lost();
}

void Link::give_up() {
  far_.never();
  close_ends();
  finish_if_lost();
}

void Link::close_ends() {
  near_.stream().close();
  far_.stream().close();
}

void Link::abort_ends() {
  near_.stream().abort();
  far_.stream().abort();
}

void Link::finish_if_lost() {
  if (!near_.is_lost() || !far_.is_lost() || std::exchange(over_, true)) return;
  over();
}

}  // namespace weir_tool
