#include "write_side.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::inline v0::detail {
namespace {

/// [F1]
constexpr std::size_t default_high_water(StreamRole role) noexcept {
  return role == StreamRole::tls ? std::size_t{512} * 1024 : FlowControl::default_high_water;
}

/// What a dropped write is warned of with. [S27, I12, T21]
constexpr std::string_view dropped_by(StreamRole role) noexcept {
  if (role == StreamRole::socket) return dropped_by_socket;
  if (role == StreamRole::tls) return "SSL connection is closed";
  return "pipe closed by peer or os.write(pipe, data) raised exception.";
}

}  // namespace

WriteSide::WriteSide(Lifecycle& lifecycle, StreamChannel& channel, StreamRole role) noexcept
    : lifecycle_(lifecycle),
      channel_(channel),
      queue_(lifecycle.loop().chunks()),
      flow_control_(default_high_water(role)),
      role_(role) {}

void WriteSide::require_unlocked(const char* refused) const {
  if (lock_ == nullptr) return;
  throw WrongStateError(std::string(refused) + "; " + lock_->activity() + " is in progress");
}

void WriteSide::require_half(const char* refused) const {
  if (lock_ != nullptr && lock_->has_all()) require_unlocked(refused);
}

bool WriteSide::accepts(bool empty) {
  if (ended_) throw WrongStateError("Cannot call write() after write_eof()");
  require_unlocked("unable to write");
  if (empty) return false;
  // A socket takes what is written until all it has is sent, the others nothing once they close.
  // [S28, I12, T21]
  if (role_ == StreamRole::socket ? lifecycle_.writable() : !lifecycle_.closing()) return true;
  dropped_writes_.add(dropped_by(role_));
  return false;
}

/// Whether a queue of `size` bytes should: never one that the protocol would be paused for.
bool WriteSide::should_wait(std::size_t size) {
  return size <= flow_control_.limits().high && channel_.sends_together(size);
}

/// Sends the queue, as far as it can, that waits to be sent together with those of others. There are no Buffers in
/// it.
CloseReason WriteSide::send_waiting() {
  std::array<ConstBytes, max_send_pieces> pieces;
  const std::size_t count = unsent(pieces);
  const SendResult result = channel_.try_send(std::span(pieces).first(count));
  static_cast<void>(queue_.consume(result.sent));
  if (passing_ != nullptr) passing_->left += result.sent;
  if (queue_.empty()) sending_ = false;
  if (result.error) return *result.error;
  return {};
}

/// Before `size` bytes more are written: what waits goes first if those should not. What the protocol was paused for
/// meanwhile, by new limits, stays: sent() has to tell it to resume.
CloseReason WriteSide::make_way(std::size_t size, MayWait may_wait) {
  if (!sending_ || flow_control_.paused() || !channel_.waits_for_others()) return {};
  if (may_wait == MayWait::yes && should_wait(queue_.size() + size)) return {};
  return send_waiting();
}

/// Sends what it can of `pieces`, unless that may wait; `append(sent)` queues the rest.
template <class Append>
CloseReason WriteSide::send_or_queue(std::span<const ConstBytes> pieces, std::size_t total,
                                     MayWait may_wait, Append append) {
  if (CloseReason failure = make_way(total, may_wait)) return failure;
  std::size_t sent = 0;
  if (!sending_ && (may_wait == MayWait::no || !should_wait(total))) {
    const SendResult result = channel_.try_send(pieces);
    if (result.error) return *result.error;
    sent = result.sent;
    if (sent == total) return {};
  }
  append(sent);
  queue_grew();
  return {};
}

void WriteSide::queue_grew() noexcept {
  if (!std::exchange(sending_, true)) channel_.start_sending();
  // Last: the protocol may do anything in there. [F9, F13]
  if (flow_control_.grown(queue_.size())) pause_protocol();
}

void WriteSide::pause_protocol() noexcept {
  if (locked() || std::exchange(told_to_pause_, true)) return;
  lifecycle_.pause_writing();
}

void WriteSide::resume_protocol() noexcept {
  if (locked()) return lock_->on_resumed();
  if (std::exchange(told_to_pause_, false)) lifecycle_.resume_writing();
}

void WriteSide::settle() noexcept {
  if (locked() || !lifecycle_.writable()) return;
  flow_control_.paused() ? pause_protocol() : resume_protocol();
}

void WriteSide::unlock() noexcept {
  lock_ = nullptr;
  if (ended_ && queue_.empty() && !lifecycle_.closing()) channel_.shutdown_send();
}

void WriteSide::lose_lock(const CloseReason& reason) noexcept {
  if (lock_ == nullptr || lock_->has_all()) return;
  std::exchange(lock_, nullptr)->on_lost(reason);
}

CloseReason WriteSide::write(ConstBytes data) {
  if (!accepts(data.empty())) return {};
  return send_or_queue({&data, 1}, data.size(), MayWait::yes,
                       [&](std::size_t sent) { queue_.append(data.subspan(sent)); });
}

CloseReason WriteSide::write(Buffer data) {
  if (!accepts(data.bytes().empty())) return {};
  return send(std::move(data));
}

CloseReason WriteSide::send(Buffer data) {
  const ConstBytes bytes = data.bytes();
  return send_or_queue({&bytes, 1}, bytes.size(), MayWait::no, [&](std::size_t sent) {
    queue_.append(std::move(data), sent);
    has_buffers_ = true;
  });
}

CloseReason WriteSide::writelines(std::span<const ConstBytes> lines) {
  std::size_t total = 0;
  for (const ConstBytes& line : lines) total += line.size();
  if (!accepts(total == 0)) return {};
  if (CloseReason failure = make_way(total, MayWait::yes)) return failure;

  std::array<ConstBytes, max_send_pieces> pieces;
  auto next = lines.begin();
  while (!sending_ && next != lines.end()) {
    std::size_t count = 0;
    std::size_t size = 0;
    for (; next != lines.end() && count < pieces.size(); ++next) {
      if (next->empty()) continue;
      pieces[count++] = *next;
      size += next->size();
    }
    if (size == 0) break;
    const auto append = [&](std::size_t sent) {
      for (const ConstBytes& piece : std::span(pieces).first(count)) {
        const std::size_t skipped = std::min(sent, piece.size());
        sent -= skipped;
        queue_.append(piece.subspan(skipped));
      }
      // All of it in one go, so that there is at most one pause. [S24]
      for (; next != lines.end(); ++next) queue_.append(*next);
    };
    const MayWait may_wait = size == total ? MayWait::yes : MayWait::no;
    if (CloseReason failure =
            send_or_queue(std::span(pieces).first(count), size, may_wait, append)) {
      return failure;
    }
  }
  if (next == lines.end()) return {};
  for (; next != lines.end(); ++next) queue_.append(*next);
  queue_grew();
  return {};
}

CloseReason WriteSide::write(ConstBytes data, std::vector<Fd> descriptors) {
  if (!accepts(data.empty())) return {};
  if (CloseReason failure = make_way(data.size(), MayWait::no)) return failure;
  if (!sending_) {
    channel_.local_socket()->send_along(std::move(descriptors));
  } else {
    if (passing_ == nullptr) passing_ = std::make_unique<PassingQueue>();
    passing_->waiting.push_back({passing_->left + queue_.size(), std::move(descriptors)});
  }
  return send_or_queue({&data, 1}, data.size(), MayWait::no,
                       [&](std::size_t sent) { queue_.append(data.subspan(sent)); });
}

/// Pieces end where the next descriptors are to go along, so that these leave with their byte.
std::size_t WriteSide::unsent(std::span<ConstBytes> pieces) noexcept {
  const std::size_t count = queue_.peek(pieces);
  if (passing_ == nullptr || passing_->waiting.empty()) return count;
  std::deque<Passing>& waiting = passing_->waiting;
  if (waiting.front().position == passing_->left) {
    channel_.local_socket()->send_along(std::move(waiting.front().descriptors));
    waiting.pop_front();
    if (waiting.empty()) return count;
  }
  std::uint64_t left = waiting.front().position - passing_->left;
  for (std::size_t i = 0; i < count; ++i) {
    if (pieces[i].size() >= left) {
      pieces[i] = pieces[i].first(static_cast<std::size_t>(left));
      return i + 1;
    }
    left -= pieces[i].size();
  }
  return count;
}

CloseReason WriteSide::write_eof() {
  require_half("unable to end the stream");
  if (ended_ || lifecycle_.closing()) return {};
  ended_ = true;
  if (CloseReason failure = wait_no_more()) return failure;
  if (queue_.empty() && !locked()) channel_.shutdown_send();
  return {};
}

bool WriteSide::set_limits(WriteBufferLimits limits) {
  flow_control_.set_limits(limits, default_high_water(role_));
  if (!lifecycle_.writable()) return false;
  if (flow_control_.grown(queue_.size())) pause_protocol();
  return role_ == StreamRole::tls && flow_control_.shrunk(queue_.size());
}

bool WriteSide::sent(std::size_t count) noexcept {
  if (!lifecycle_.writable()) return false;  // dropped while the kernel sent it
  {
    // Buffers are released behind that: their owners may do anything, too. [F17]
    const ByteQueue::Consumed released = queue_.consume(count);
    if (passing_ != nullptr) passing_->left += count;
    if (queue_.empty()) sending_ = has_buffers_ = false;
    if (flow_control_.shrunk(queue_.size())) resume_protocol();
  }
  if (!lifecycle_.writable() || !queue_.empty()) return false;
  if (locked()) {
    lock_->on_drained();
  } else if (ended_ && !lifecycle_.closing()) {
    channel_.shutdown_send();
  }
  return true;
}

void WriteSide::drop() noexcept {
  // What could have been sent when it was written is not dropped.
  static_cast<void>(wait_no_more());
  dropped_writes_.end();
  queue_.retire();
  passing_.reset();
  sending_ = false;
}

}  // namespace weir::inline v0::detail
