// The load generator for TCP and Unix sockets. With --reconnect each request has a connection of its
// own, which ends when the answer has come.

#include "echo_load.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>

namespace {

class Socket {
 public:
  static constexpr std::size_t buffer_size = 256 * 1024;

  explicit Socket(const bench::LoadTarget& target) : fd_(target.connect()) {}

  void flush() {}

  std::size_t send(std::span<const std::byte> data) {
    const ssize_t sent = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) return 0;
    if (sent < 0) bench::load_failed("send", errno);
    return static_cast<std::size_t>(sent);
  }

  bench::Arrived receive(std::span<std::byte> buffer) {
    const ssize_t received = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN) return {};
    if (received < 0) bench::load_failed("recv", errno);
    if (received == 0) bench::load_failed("the server closed a connection", ECONNRESET);
    const auto size = static_cast<std::size_t>(received);
    return {.size = size, .drained = size < buffer.size()};
  }

  /// By a reset: after an orderly end the port would be taken for a minute, and no system has as
  /// many ports as connections are made in that time.
  void close() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(fd_);
  }

 private:
  int fd_;
};

class Reconnecting {
 public:
  static constexpr std::size_t buffer_size = Socket::buffer_size;

  explicit Reconnecting(const bench::LoadTarget& target) : target_(target) {}

  void flush() {}

  std::size_t send(std::span<const std::byte> data) {
    if (!socket_) {
      socket_.emplace(target_);
      missing_ = target_.options.size;
    }
    return socket_->send(data);
  }

  bench::Arrived receive(std::span<std::byte> buffer) {
    const auto arrived = socket_->receive(buffer);
    if (arrived.size < missing_) {
      missing_ -= arrived.size;
      return arrived;
    }
    socket_->close();
    socket_.reset();
    return {.size = arrived.size, .drained = true};
  }

 private:
  bench::LoadTarget target_;
  std::optional<Socket> socket_;
  std::size_t missing_ = 0;  // of the answer
};

}  // namespace

int main(int argc, char** argv) { bench::run_load<Socket, Reconnecting>(argc, argv); }
