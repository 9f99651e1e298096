#include "epoll_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "epoll_unix_stream.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {

EpollStreamChannel::EpollStreamChannel(EpollBackend& backend, Fd descriptor, Receives receives)
    : EpollChannel(backend, std::move(descriptor)) {
  drain_ = receives == Receives::some;
}

void EpollStreamChannel::shutdown_send() noexcept {
  // A connection that broke meanwhile says so itself.
  static_cast<void>(::shutdown(descriptor_, SHUT_WR));
}

Address EpollStreamChannel::local_address() const { return local_address_of(descriptor_); }

void EpollStreamChannel::receive() noexcept {
  const auto wanted = events_up_->receive_buffer();
  if (!wanted) {
    if (receiving_) deliver_next_turn();
    return;
  }
  const std::span<std::byte> buffer = wanted->empty() ? backend_.receive_buffer() : *wanted;
  const ssize_t count = receive_some(buffer);
  if (count > 0) {
    const auto received = buffer.first(static_cast<std::size_t>(count));
    // A short receive emptied the socket: the next byte comes with an edge.
    if (received.size() < buffer.size() && !drain_) readable_ = false;
    events_up_->on_received(received);
#ifndef NDEBUG
    // A span kept past its callback must not look right by accident. [C5]
    if (wanted->empty()) std::memset(received.data(), 0xDD, received.size());
#endif
    if (receiving_ && readable_) deliver_next_turn();
  } else if (count == 0) {
    receiving_ = readable_ = false;
    events_up_->on_eof();
  } else if (errno == EAGAIN && !always_ready_) {
    readable_ = false;
  } else if (errno == EINTR) {
    deliver_next_turn();
  } else {
    fail(last_system_error());
  }
}

ssize_t EpollStreamChannel::receive_some(std::span<std::byte> buffer) noexcept {
  return ::recv(descriptor_, buffer.data(), buffer.size(), 0);
}

ssize_t EpollStreamChannel::send_some(std::span<const ConstBytes> pieces) noexcept {
  if (pieces.size() > 1) return send_gathered(descriptor_, pieces);
  return ::send(descriptor_, pieces.front().data(), pieces.front().size(), MSG_NOSIGNAL);
}

SendResult EpollStreamChannel::send_pieces(std::span<const ConstBytes> pieces) noexcept {
  ssize_t count = 0;
  do {
    count = send_some(pieces);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return {.sent = static_cast<std::size_t>(count)};
  if (errno == EAGAIN && !always_ready_) return {};
  return {.error = last_system_error()};
}

SendResult EpollStreamChannel::try_send(std::span<const ConstBytes> pieces) noexcept {
  const SendResult result = send_pieces(pieces);
  // Whether it was short is the caller's to find out: it then starts sending, which asks for an edge.
  writable_ = always_ready_;
  return result;
}

void EpollStreamChannel::send_queue() noexcept {
  std::array<ConstBytes, max_send_pieces> pieces;
  const std::size_t count = events_up_->unsent(pieces);
  if (count == 0) {
    sending_ = false;
    return;
  }
  const auto wanted = std::span(pieces).first(count);
  std::size_t size = 0;
  for (const ConstBytes& piece : wanted) size += piece.size();
  const SendResult result = send_pieces(wanted);
  if (result.error) {
    fail(*result.error);
    return;
  }
  if (result.sent < size) writable_ = always_ready_;
  if (result.sent > 0) events_up_->on_sent(result.sent);
  if (!sending_) return;
  if (events_up_->unsent(std::span(pieces).first(1)) == 0) {
    sending_ = false;
  } else if (writable_) {
    deliver_next_turn();
  }
}

void EpollStreamChannel::fail(std::error_code error) noexcept {
  stop();
  events_up_->on_failed(error);
}

std::size_t gather(std::span<const ConstBytes> pieces, std::span<iovec> vectors) noexcept {
  std::size_t count = 0;
  for (const ConstBytes& piece : pieces) {
    // The calls want it so, for the sake of receiving; they send without writing.
    auto* data = const_cast<std::byte*>(piece.data());  // NOLINT(*-const-cast)
    vectors[count++] = {data, piece.size()};
  }
  return count;
}

ssize_t send_gathered(int socket, std::span<const ConstBytes> pieces,
                      std::span<std::byte> control) noexcept {
  std::array<iovec, max_send_pieces> vectors;  // NOLINT(*-member-init): filled as far as it is used
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = gather(pieces, vectors);
  if (!control.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

// --- Opening ----------------------------------------------------------------------------------------

std::unique_ptr<StreamChannel> EpollBackend::make_stream(Fd socket, AddressFamily family) {
  using Receives = EpollStreamChannel::Receives;
  if (family == AddressFamily::unix_socket) {
    return std::make_unique<EpollUnixChannel>(*this, std::move(socket));
  }
  const auto receives = family == AddressFamily::unspecified ? Receives::some : Receives::all;
  return std::make_unique<EpollStreamChannel>(*this, std::move(socket), receives);
}

Result<std::unique_ptr<StreamChannel>> EpollBackend::adopt_stream(int descriptor) {
  if (owns(descriptor)) return std::make_error_code(std::errc::device_or_resource_busy);
  if (const std::error_code error = prepare_adopted_socket(descriptor, SOCK_STREAM)) return error;
  set_no_delay(descriptor);
  return make_stream(Fd(descriptor), family_of(descriptor));
}

}  // namespace weir::inline v0::detail
