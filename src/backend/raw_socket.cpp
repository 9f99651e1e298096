#include "raw_socket.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "pipe_signal.h"
#include "sockaddr.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

/// `call()` until no signal interrupts it.
template <class Call>
Result<std::size_t> uninterrupted(Call call) noexcept {
  ssize_t count = 0;
  do {
    count = call();
  } while (count < 0 && errno == EINTR);
  if (count < 0) return last_system_error();
  return static_cast<std::size_t>(count);
}

class SystemSockets final : public UserSockets {
 public:
  bool is_stream(int socket) const noexcept override {
    int type = 0;
    socklen_t length = sizeof type;
    return ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
  }

  bool is_blocking(int socket) const noexcept override {
    const int flags = ::fcntl(socket, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) == 0;
  }

  Result<std::size_t> receive(int socket, std::span<std::byte> buffer) noexcept override {
    return uninterrupted(
        [&] { return ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT); });
  }

  Result<Received> receive_from(int socket, std::span<std::byte> buffer) override {
    sockaddr_storage storage{};
    socklen_t length = 0;
    auto* sender = reinterpret_cast<sockaddr*>(&storage);
    Result<std::size_t> size = uninterrupted([&] {
      length = sizeof storage;
      return ::recvfrom(socket, buffer.data(), buffer.size(), MSG_DONTWAIT, sender, &length);
    });
    if (!size) return size.error();
    // A stream's sender is known already, and is not named again.
    return Received{size.value(), length != 0 ? address_from(*sender, length) : Address()};
  }

  Result<std::size_t> send(int socket, ConstBytes data) noexcept override {
    return uninterrupted(
        [&] { return ::send(socket, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
  }

  Result<std::size_t> send_to(int socket, ConstBytes data, const Address& to) noexcept override {
    sockaddr_storage storage{};
    const socklen_t length = sockaddr_from(to, storage);
    const auto* address = reinterpret_cast<const sockaddr*>(&storage);
    return uninterrupted([&] {
      return ::sendto(socket, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                      length != 0 ? address : nullptr, length);
    });
  }

  Result<Accepted> accept(int socket) override {
    while (true) {
      sockaddr_storage storage{};
      socklen_t length = sizeof storage;
      auto* peer = reinterpret_cast<sockaddr*>(&storage);
      Fd accepted(::accept4(socket, peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted) return Accepted{std::move(accepted), address_from(*peer, length)};
      // One that went away before it was accepted is as if it had not come.
      if (errno != EINTR && errno != ECONNABORTED) return last_system_error();
    }
  }

  std::error_code connect(int socket, const Address& address) noexcept override {
    return connect_socket(socket, address);
  }
  std::error_code take_error(int socket) noexcept override { return pending_socket_error(socket); }

  Result<std::size_t> send_file(int socket, int file, std::uint64_t offset,
                                std::size_t count) noexcept override {
    return uninterrupted([&] {
      return without_pipe_signal([&] {
        auto position = static_cast<off_t>(offset);
        return ::sendfile(socket, file, &position, count);
      });
    });
  }
};

}  // namespace

UserSockets& system_sockets() noexcept {
  static SystemSockets sockets;
  return sockets;
}

}  // namespace weir::inline v0::detail
