#include "simulated_streams.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace weir::inline v0::detail::simulated {

std::vector<Fd> SimulatedLocalSocket::duplicates(std::span<const int> descriptors) const {
  if (descriptors.empty()) return {};
  throw std::system_error(kernel_error(std::errc::operation_not_supported),
                          "no descriptors can be passed within a simulation");
}

void Stream::start_receiving() noexcept {
  receiving_ = true;
  socket_changed();
}

void Stream::stop_receiving() noexcept {
  receiving_ = false;
  receive_signal_.unlink();
}

SendResult Stream::try_send(std::span<const ConstBytes> pieces) noexcept {
  if (life_ != Life::open) return {0, kernel_error(std::errc::broken_pipe)};
  if (const std::error_code error = socket_->send_error()) {
    enter(Life::failed);
    return {0, error};
  }
  return {socket_->send(pieces), {}};
}

void Stream::start_sending() noexcept {
  sending_ = true;
  socket_changed();
}

void Stream::shutdown_send() noexcept {
  if (life_ != Life::open) return;
  sending_ = false;
  send_signal_.unlink();
  socket_->end_sending();
}

void Stream::close() noexcept {
  if (life_ == Life::closed) return;
  enter(Life::closed);
  socket_->close();
  held_.reset();
  signals_.raise(closed_signal_);
}

/// Ends the events of the life before.
void Stream::enter(Life life) noexcept {
  life_ = life;
  receive_signal_.unlink();
  send_signal_.unlink();
}

/// A break is told by receiving and by sending, whichever goes on; to neither, by the next
/// try_send(). [S13]
void Stream::socket_changed() noexcept {
  if (life_ != Life::open) return;
  const bool readable = socket_->unread() > 0 || socket_->end_arrived() || broken();
  if (receiving_ && !eof_told_ && readable) signals_.raise(receive_signal_);
  if (sending_ && (socket_->room() > 0 || socket_->send_error())) signals_.raise(send_signal_);
}

bool Stream::deliver_receive() noexcept {
  if (socket_->unread() > 0) return receive();
  if (socket_->end_arrived()) {
    eof_told_ = true;
    events_->on_eof();
    return true;
  }
  // Or nothing: a user who starts receiving when asked for a buffer raises the signal once too often.
  return broken() && fail(socket_->error());
}

bool Stream::receive() noexcept {
  const std::optional<std::span<std::byte>> offered = events_->receive_buffer();
  if (!offered || !receiving_ || life_ != Life::open) {
    if (receiving_) socket_changed();
    return false;
  }
  const bool shared = offered->empty();
  std::span<std::byte> buffer = shared ? signals_.scratch() : *offered;
  buffer = buffer.first(std::min(buffer.size(), receive_buffer_size));
  buffer = buffer.first(socket_->read(buffer));
  events_->on_received(buffer);
#ifndef NDEBUG
  // A span that was kept shows in a test. What is the user's stays as it is.
  if (shared) std::memset(buffer.data(), 0xdd, buffer.size());
#endif
  socket_changed();  // there may be more
  return true;
}

bool Stream::deliver_send() noexcept {
  if (const std::error_code error = socket_->send_error()) return fail(error);
  std::array<ConstBytes, max_send_pieces> pieces;
  const std::size_t count = events_->unsent(pieces);
  if (count == 0) sending_ = false;
  const std::size_t sent = socket_->send(std::span(pieces).first(count));
  if (sent == 0) return false;
  events_->on_sent(sent);
  if (life_ != Life::open || !sending_) return true;
  sending_ = events_->unsent(std::span(pieces).first(1)) > 0;
  socket_changed();
  return true;
}

bool Stream::fail(std::error_code error) noexcept {
  enter(Life::failed);
  events_->on_failed(error);
  return true;
}

bool Stream::deliver_closed() noexcept {
  events_->on_closed();
  return true;
}

std::error_code Listener::start_accepting(ListenEvents& events, int backlog) noexcept {
  events_ = &events;
  accepting_ = true;
  queue_.set_backlog(backlog);
  binding_->lead_to(queue_);
  socket_changed();
  return {};
}

void Listener::stop_accepting() noexcept {
  accepting_ = false;
  signal_.unlink();
}

void Listener::socket_changed() noexcept {
  if (!accepting_ || queue_.empty() || signal_.linked()) return;
  batch_left_ = queue_.capacity();
  signals_.raise(signal_);
}

bool Listener::deliver() noexcept {
  std::shared_ptr<Socket> socket = queue_.take();
  const Address peer = socket->peer_address();
  if (--batch_left_ > 0 && !queue_.empty()) signals_.repeat(signal_);
  socket_changed();
  events_->on_accepted(std::make_unique<Stream>(signals_, std::move(socket)), peer);
  return true;
}

bool Attempt::deliver() noexcept {
  if (const std::error_code error = socket_->error()) {
    events_.on_connect_failed(error);
    return true;
  }
  auto stream = std::make_unique<Stream>(signals_, std::move(socket_), std::move(binding_));
  events_.on_connected(std::move(stream));
  return true;
}

}  // namespace weir::inline v0::detail::simulated
