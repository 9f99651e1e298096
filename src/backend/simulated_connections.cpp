#include "simulated_connections.h"

#include <algorithm>
#include <cassert>

namespace weir::inline v0::detail::simulated {

ConnectionKind Socket::kind() const noexcept { return connection_.kind; }

Socket& Socket::peer() const noexcept {
  return this == &connection_.client ? connection_.server : connection_.client;
}

std::shared_ptr<Socket> Socket::shared() noexcept { return {connection_.shared_from_this(), this}; }

std::error_code Socket::send_error() const noexcept {
  if (phase_ == Phase::broken && kind() == ConnectionKind::internet) return error_;
  const bool impossible = end_sent_ || peer_gone_ || phase_ == Phase::broken;
  return impossible ? kernel_error(std::errc::broken_pipe) : std::error_code();
}

void Socket::transmit(Packet packet) noexcept {
  Socket& to = peer();
  to.arriving_.push_back(packet);
  network_.transmit(to.shared(), to.last_arrival_);
}

std::size_t Socket::send(std::span<const ConstBytes> pieces) noexcept {
  std::size_t left = room();
  std::size_t sent = 0;
  for (const ConstBytes piece : pieces) {
    const ConstBytes taken = piece.first(std::min(piece.size(), left));
    if (!taken.empty()) peer().ring_.push(taken);
    sent += taken.size();
    left -= taken.size();
  }
  for (std::size_t uncut = sent; uncut > 0;) {
    const std::size_t size = std::min(uncut, network_.draw_segment());
    transmit({PacketKind::data, size});
    uncut -= size;
  }
  return sent;
}

std::size_t Socket::read(std::span<std::byte> into) noexcept {
  const std::size_t count = std::min(into.size(), unread_);
  ring_.pop(into.first(count));
  unread_ -= count;
  peer().changed();  // there is room
  return count;
}

void Socket::end_sending() noexcept {
  if (phase_ != Phase::established || end_sent_) return;
  end_sent_ = true;
  transmit({PacketKind::end});
}

void Socket::close() noexcept {
  user_ = nullptr;
  if (phase_ == Phase::broken) {
    phase_ = Phase::silent;
    return;
  }
  if (phase_ == Phase::established) {
    if (ring_.size() > 0 && kind() != ConnectionKind::pipe) return abort();
    if (kind() == ConnectionKind::internet) {
      end_sending();
    } else {
      transmit({PacketKind::gone});
    }
  }
  phase_ = Phase::closed;
}

void Socket::abort() noexcept {
  user_ = nullptr;
  queue_ = nullptr;
  phase_ = Phase::silent;
  ring_.discard(std::exchange(unread_, 0));
  transmit({PacketKind::reset});
}

void Socket::arrive() noexcept {
  const Packet packet = arriving_.front();
  arriving_.pop_front();
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

void Socket::arrive_at_closed(const Packet& packet) noexcept {
  ring_.discard(packet.size);
  const bool wants_reply = packet.kind == PacketKind::answer ||
                           (packet.kind == PacketKind::data && kind() == ConnectionKind::internet);
  if (packet.kind == PacketKind::reset) phase_ = Phase::silent;
  if (phase_ == Phase::closed && wants_reply) abort();
}

void Socket::request_arrived() noexcept {
  Result<AcceptQueue*> queue = listener_at(network_.addresses(), local_);
  if (!queue) return abort();
  queue.value()->requested(*this);
}

void Socket::establish_client() noexcept {
  phase_ = Phase::established;
  transmit({PacketKind::confirm});
  changed();
}

void Socket::gone_arrived() noexcept {
  end_arrived_ = peer_gone_ = true;
  changed();
}

void Socket::reset_arrived() noexcept {
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

AcceptQueue::~AcceptQueue() {
  for (const auto& socket : waiting_) socket->abort();
  for (const auto& socket : answered_) socket->abort();
  for (const auto& socket : complete_) socket->abort();
}

void AcceptQueue::set_backlog(int backlog) noexcept {
  capacity_ = static_cast<std::size_t>(std::max(backlog, 0)) + 1;
  answer_waiting();
}

std::shared_ptr<Socket> AcceptQueue::take() noexcept {
  std::shared_ptr<Socket> socket = std::move(complete_.front());
  complete_.pop_front();
  socket->wait_in(nullptr);
  answer_waiting();
  return socket;
}

void AcceptQueue::requested(Socket& server) noexcept {
  server.wait_in(this);
  waiting_.push_back(server.shared());
  answer_waiting();
}

void AcceptQueue::confirmed(Socket& server) noexcept {
  complete_.push_back(take_answered(server));
  user_.socket_changed();
}

void AcceptQueue::gone(Socket& server) noexcept {
  server.wait_in(nullptr);
  take_answered(server);
  answer_waiting();
}

void AcceptQueue::answer_waiting() noexcept {
  while (!waiting_.empty() && answered_.size() + complete_.size() < capacity_) {
    answered_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    answered_.back()->answer();
  }
}

std::shared_ptr<Socket> AcceptQueue::take_answered(Socket& server) noexcept {
  const auto found = std::ranges::find(answered_, &server, &std::shared_ptr<Socket>::get);
  assert(found != answered_.end());
  std::shared_ptr<Socket> socket = std::move(*found);
  answered_.erase(found);
  return socket;
}

Result<AcceptQueue*> listener_at(const AddressBook& addresses, const Address& address) {
  const auto listening = [](const Binding& binding) { return binding.reached<AcceptQueue>(); };
  const Binding* found = nullptr;
  if (is_internet(address)) {
    found = addresses.find(SocketType::stream, address,
                           [&](const Binding& binding) { return listening(binding) ? 1 : 0; });
  } else {
    Result<const Binding*> named = addresses.find_name(SocketType::stream, address);
    if (!named) return named.error();
    found = named.value();
  }
  if (found == nullptr || listening(*found) == nullptr) {
    return kernel_error(std::errc::connection_refused);
  }
  return listening(*found);
}

}  // namespace weir::inline v0::detail::simulated
