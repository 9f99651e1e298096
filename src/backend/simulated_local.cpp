#include "simulated_local.h"

#include <algorithm>

namespace weir::inline v0::detail::simulated {

LocalStreamSocket& LocalStreamSocket::peer() const noexcept {
  return this == &connection_.client ? connection_.server : connection_.client;
}

Network& LocalStreamSocket::network() const noexcept { return connection_.host.network(); }

std::shared_ptr<Socket> LocalStreamSocket::shared() noexcept {
  return {connection_.shared_from_this(), this};
}

std::error_code LocalStreamSocket::send_error() const noexcept {
  const bool impossible = end_sent_ || peer_gone_ || phase_ == Phase::broken;
  return impossible ? kernel_error(std::errc::broken_pipe) : std::error_code();
}

std::size_t LocalStreamSocket::room() const noexcept {
  return network().buffer_size() - peer().ring_.size();
}

void LocalStreamSocket::transmit(Packet packet) noexcept {
  LocalStreamSocket& to = peer();
  network().deliver_locally(
      [&to, packet, alive = connection_.shared_from_this()] { to.arrive(packet); },
      to.last_arrival_);
}

std::size_t LocalStreamSocket::send(std::span<const ConstBytes> pieces) noexcept {
  std::size_t left = room();
  std::size_t sent = 0;
  for (const ConstBytes piece : pieces) {
    const ConstBytes taken = piece.first(std::min(piece.size(), left));
    if (!taken.empty()) peer().ring_.push(taken);
    sent += taken.size();
    left -= taken.size();
  }
  for (std::size_t uncut = sent; uncut > 0;) {
    const std::size_t size = std::min(uncut, network().draw_segment());
    transmit({PacketKind::data, size});
    uncut -= size;
  }
  return sent;
}

std::size_t LocalStreamSocket::read(std::span<std::byte> into) noexcept {
  const std::size_t count = std::min(into.size(), unread_);
  ring_.pop(into.first(count));
  unread_ -= count;
  peer().changed();  // there is room
  return count;
}

void LocalStreamSocket::end_sending() noexcept {
  if (phase_ != Phase::established || end_sent_) return;
  end_sent_ = true;
  transmit({PacketKind::end});
}

void LocalStreamSocket::close() noexcept {
  user_ = nullptr;
  if (phase_ == Phase::broken) {
    phase_ = Phase::silent;
    return;
  }
  if (phase_ == Phase::established) {
    if (ring_.size() > 0 && kind_ != ConnectionKind::pipe) return abort();
    transmit({PacketKind::gone});
  }
  phase_ = Phase::closed;
}

void LocalStreamSocket::abort() noexcept {
  user_ = nullptr;
  queue_ = nullptr;
  phase_ = Phase::silent;
  ring_.discard(std::exchange(unread_, 0));
  transmit({PacketKind::reset});
}

void LocalStreamSocket::arrive(const Packet& packet) noexcept {
  if (phase_ == Phase::closed || phase_ == Phase::silent) return arrive_at_closed(packet);
  switch (packet.kind) {
    case PacketKind::request: return request_arrived();
    case PacketKind::answer: return establish_client();
    case PacketKind::confirm: phase_ = Phase::established; return queue_->confirmed(*this);
    case PacketKind::data: unread_ += packet.size; return changed();
    case PacketKind::end: end_arrived_ = true; return changed();
    case PacketKind::gone: return gone_arrived();
    case PacketKind::reset: return reset_arrived();
  }
}

void LocalStreamSocket::arrive_at_closed(const Packet& packet) noexcept {
  ring_.discard(packet.size);
  if (packet.kind == PacketKind::reset) phase_ = Phase::silent;
  if (phase_ == Phase::closed && packet.kind == PacketKind::answer) abort();
}

void LocalStreamSocket::request_arrived() noexcept {
  Result<AcceptQueue*> queue = listener_at(connection_.host.address_book(), local_);
  if (!queue) return abort();
  queue.value()->requested(*this);
}

void LocalStreamSocket::establish_client() noexcept {
  phase_ = Phase::established;
  transmit({PacketKind::confirm});
  changed();
}

void LocalStreamSocket::gone_arrived() noexcept {
  end_arrived_ = peer_gone_ = true;
  changed();
}

void LocalStreamSocket::reset_arrived() noexcept {
  if (phase_ == Phase::connecting && queue_ != nullptr) {
    phase_ = Phase::silent;
    return queue_->gone(*this);
  }
  // As Linux has it: a connection whose other end is known to be over breaks as a pipe does.
  error_ = kernel_error(phase_ == Phase::connecting ? std::errc::connection_refused
                        : end_arrived_              ? std::errc::broken_pipe
                                                    : std::errc::connection_reset);
  phase_ = Phase::broken;
  changed();
}

}  // namespace weir::inline v0::detail::simulated
