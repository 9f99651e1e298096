#include <weir/sock.h>

#include <weir/error.h>
#include <weir/resolve.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "loop.h"
#include "user_socket.h"

namespace weir::inline v0 {
namespace detail {
namespace {

using Side = DescriptorWatchers::Side;

/// Does a call, and completes the future; or does nothing, and is false, if the call would block.
template <class T>
using Attempt = UniqueFunction<bool(UserSockets&, const Future<T>&)>;

/// A call that waits until its socket is ready, to try again then. It belongs to the registration of its
/// callback: when that ends, by whatever cause, so does the call.
template <class T>
class WaitingCall {
 public:
  WaitingCall(Loop& loop, int socket, Side side, Attempt<T> attempt, Future<T> future)
      : loop_(loop),
        socket_(socket),
        side_(side),
        registration_(loop.watchers().new_registration()),
        attempt_(std::move(attempt)),
        future_(std::move(future)) {}
  WaitingCall(const WaitingCall&) = delete;
  WaitingCall& operator=(const WaitingCall&) = delete;
  ~WaitingCall() {
    // Another call took its place. With its loop it is dropped without a word. [L6]
    if (waiting_ && !loop_.is_closed()) future_.cancel();
  }

  static void start(std::unique_ptr<WaitingCall> call) {
    WaitingCall& self = *call;
    DescriptorWatchers& watchers = self.loop_.watchers();
    watchers.add(
        self.socket_, self.side_, [call = std::move(call)] { call->retry(); }, self.registration_);
    self.waiting_ = true;
    FutureAccess::state(self.future_)
        ->set_cancel_hook([loop = self.loop_.facade_ref(), socket = self.socket_, side = self.side_,
                           registration = self.registration_] {
          if (auto* facade = loop.template get<EventLoop>()) {
            Loop::of(*facade).watchers().withdraw(socket, side, registration);
          }
          return false;
        });
  }

 private:
  void retry() {
    try {
      if (!attempt_(*loop_.backend().user_sockets(), future_)) return;
    } catch (...) {
      future_.set_exception(std::current_exception());
    }
    loop_.watchers().withdraw(socket_, side_, registration_);
  }

  Loop& loop_;
  int socket_;
  Side side_;
  DescriptorWatchers::Registration registration_;
  Attempt<T> attempt_;
  Future<T> future_;
  bool waiting_ = false;
};

/// Tries at once, else waits.
template <class T>
void attempt_call(Loop& loop, int socket, Side side, Attempt<T> attempt, const Future<T>& future) {
  try {
    if (attempt(usable_socket(loop, socket), future)) return;
    WaitingCall<T>::start(
        std::make_unique<WaitingCall<T>>(loop, socket, side, std::move(attempt), future));
  } catch (...) {
    if (!future.done()) future.set_exception(std::current_exception());
  }
}

template <class T>
Future<T> start_call(EventLoop& loop, int socket, Side side, Attempt<T> attempt) {
  Future<T> future(loop);
  attempt_call(Loop::of(loop), socket, side, std::move(attempt), future);
  return future;
}

/// True, and the future has failed, unless `error` says that the call would block.
template <class T>
bool failed(std::error_code error, const char* call, const Future<T>& future) {
  if (error == std::errc::operation_would_block) return false;
  future.set_exception(std::make_exception_ptr(std::system_error(error, call)));
  return true;
}

/// Bytes to be sent: the caller's, until they have to be kept.
class Unsent {
 public:
  explicit Unsent(ConstBytes data) noexcept : left_(data) {}

  ConstBytes left() const noexcept { return left_; }
  void remove(std::size_t count) noexcept { left_ = left_.subspan(count); }
  void keep() {
    if (kept_) return;
    kept_ = std::make_unique<std::vector<std::byte>>(left_.begin(), left_.end());
    left_ = *kept_;
  }

 private:
  ConstBytes left_;
  std::unique_ptr<std::vector<std::byte>> kept_;
};

void connect_to(Loop& loop, int socket, const Address& address, const Future<void>& future) {
  attempt_call<void>(
      loop, socket, Side::writer,
      [socket, address, started = false](UserSockets& sockets, const auto& connected) mutable {
        const std::error_code error =
            started ? sockets.take_error(socket) : sockets.connect(socket, address);
        if (error) {
          connected.set_exception(std::make_exception_ptr(
              std::system_error(error, "connect to " + address.to_string())));
          return true;
        }
        if (!std::exchange(started, true)) return false;
        connected.set_result();
        return true;
      },
      future);
}

/// What is asked of the resolver for `socket`.
ResolveOptions questions_for(Loop& loop, int socket) {
  usable_socket(loop, socket);
  const AddressFamily family = loop.backend().socket_family(socket);
  if (family != AddressFamily::ipv4 && family != AddressFamily::ipv6) {
    throw std::invalid_argument("descriptor " + std::to_string(socket) +
                                " is not an internet socket, so it connects to no host and port");
  }
  return {.family = family};
}

}  // namespace

UserSockets& usable_socket(Loop& loop, int socket) {
  loop.require_open();
  if (loop.debug()) loop.check_thread();
  UserSockets* const sockets = loop.backend().user_sockets();
  if (sockets == nullptr) {
    throw UnsupportedOperationError("a simulated loop has no use for sockets of the system");
  }
  loop.watchers().require_free(socket);
  if (loop.debug() && sockets->is_blocking(socket)) {
    throw std::invalid_argument("the socket " + std::to_string(socket) + " must be non-blocking");
  }
  return *sockets;
}

}  // namespace detail

using detail::ConstBytes;
using detail::Result;
using detail::Side;
using detail::Unsent;
using detail::UserSockets;

Future<std::vector<std::byte>> sock_recv(EventLoop& loop, int sock, std::size_t n) {
  using Bytes = std::vector<std::byte>;
  return detail::start_call<Bytes>(
      loop, sock, Side::reader,
      [sock, n, buffer = Bytes()](UserSockets& sockets, const auto& future) mutable {
        buffer.resize(n);
        Result<std::size_t> count = sockets.receive(sock, buffer);
        if (!count) return detail::failed(count.error(), "sock_recv", future);
        buffer.resize(count.value());
        future.set_result(std::move(buffer));
        return true;
      });
}

Future<std::size_t> sock_recv_into(EventLoop& loop, int sock, std::span<std::byte> buffer) {
  return detail::start_call<std::size_t>(
      loop, sock, Side::reader, [sock, buffer](UserSockets& sockets, const auto& future) {
        Result<std::size_t> count = sockets.receive(sock, buffer);
        if (!count) return detail::failed(count.error(), "sock_recv_into", future);
        future.set_result(count.value());
        return true;
      });
}

Future<ReceivedFrom> sock_recvfrom(EventLoop& loop, int sock, std::size_t n) {
  return detail::start_call<ReceivedFrom>(
      loop, sock, Side::reader,
      [sock, n, from = ReceivedFrom()](UserSockets& sockets, const auto& future) mutable {
        from.data.resize(n);
        Result<UserSockets::Received> received = sockets.receive_from(sock, from.data);
        if (!received) return detail::failed(received.error(), "sock_recvfrom", future);
        from.data.resize(received.value().size);
        from.sender = std::move(received.value().sender);
        future.set_result(std::move(from));
        return true;
      });
}

Future<ReceivedFromInto> sock_recvfrom_into(EventLoop& loop, int sock, std::span<std::byte> buffer,
                                            std::size_t n) {
  return detail::start_call<ReceivedFromInto>(
      loop, sock, Side::reader, [sock, buffer, n](UserSockets& sockets, const auto& future) {
        if (n > buffer.size()) {
          throw std::invalid_argument("sock_recvfrom_into() is to receive " + std::to_string(n) +
                                      " bytes into a buffer of " + std::to_string(buffer.size()));
        }
        Result<UserSockets::Received> received =
            sockets.receive_from(sock, buffer.first(n != 0 ? n : buffer.size()));
        if (!received) return detail::failed(received.error(), "sock_recvfrom_into", future);
        auto& [size, sender] = received.value();
        future.set_result(ReceivedFromInto{size, std::move(sender)});
        return true;
      });
}

Future<void> sock_sendall(EventLoop& loop, int sock, ConstBytes data) {
  return detail::start_call<void>(
      loop, sock, Side::writer,
      [sock, unsent = Unsent(data)](UserSockets& sockets, const auto& future) mutable {
        Result<std::size_t> count = sockets.send(sock, unsent.left());
        if (count) {
          unsent.remove(count.value());
          if (unsent.left().empty()) {
            future.set_result();
            return true;
          }
        } else if (detail::failed(count.error(), "sock_sendall", future)) {
          return true;
        }
        unsent.keep();
        return false;
      });
}

Future<std::size_t> sock_sendto(EventLoop& loop, int sock, ConstBytes data,
                                const Address& address) {
  return detail::start_call<std::size_t>(
      loop, sock, Side::writer,
      [sock, unsent = Unsent(data), address](UserSockets& sockets, const auto& future) mutable {
        Result<std::size_t> count = sockets.send_to(sock, unsent.left(), address);
        if (count) {
          future.set_result(count.value());
          return true;
        }
        if (detail::failed(count.error(), "sock_sendto", future)) return true;
        unsent.keep();
        return false;
      });
}

Future<Accepted> sock_accept(EventLoop& loop, int sock) {
  return detail::start_call<Accepted>(
      loop, sock, Side::reader, [sock](UserSockets& sockets, const auto& future) {
        Result<UserSockets::Accepted> accepted = sockets.accept(sock);
        if (!accepted) return detail::failed(accepted.error(), "sock_accept", future);
        auto& [socket, peer] = accepted.value();
        future.set_result(Accepted{std::move(socket), std::move(peer)});
        return true;
      });
}

Future<void> sock_connect(EventLoop& loop, int sock, const Address& address) {
  Future<void> future(loop);
  if (address.empty()) {
    future.set_exception(std::make_exception_ptr(
        std::invalid_argument("sock_connect() needs an address to connect to")));
  } else {
    detail::connect_to(detail::Loop::of(loop), sock, address, future);
  }
  return future;
}

Future<void> sock_connect(EventLoop& loop, int sock, std::string_view host, std::uint16_t port) {
  using detail::FutureAccess;
  Future<void> future(loop);
  detail::Loop& inner = detail::Loop::of(loop);
  try {
    const ResolveOptions options = detail::questions_for(inner, sock);
    const auto lookup = getaddrinfo(loop, host, std::to_string(port), options);
    // Weak, for the lookup keeps the future.
    FutureAccess::state(future)->set_cancel_hook(
        [lookup = std::weak_ptr<detail::FutureState>(FutureAccess::state(lookup))] {
          if (const auto alive = lookup.lock()) alive->cancel();
          return false;
        });
    lookup.add_done_callback([&inner, sock, future,
                              subject = "resolve " + std::string(host)](const auto& found) {
      if (future.done()) return;
      if (found.exception() != nullptr) return future.set_exception(found.exception());
      if (found.result().empty()) {
        return future.set_exception(std::make_exception_ptr(std::system_error(
            std::make_error_code(std::errc::address_not_available), subject + ": no addresses")));
      }
      detail::connect_to(inner, sock, found.result().front().address, future);
    });
  } catch (...) {
    future.set_exception(std::current_exception());
  }
  return future;
}

}  // namespace weir::inline v0
