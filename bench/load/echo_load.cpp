// The load generator for TCP and Unix sockets.

#include "echo_load.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
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

 private:
  int fd_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_load_options(argc, argv);
  if (options.reconnect) bench::load_usage();
  bench::raise_descriptor_limit();
  bench::Load<Socket>(options).run();
}
