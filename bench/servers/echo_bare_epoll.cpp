// The yardstick: an echo server with nothing between it and the kernel.
//
// One epoll, edge-triggered; one receive buffer for all connections; one recv for each readiness,
// ending at a short read; the answer is sent at once, and only what the kernel refuses is copied.
// Each socket is registered once, for both directions: the kernel reports writability only after
// it has refused bytes, so this costs no event and saves every later epoll_ctl. With --discard it
// does not answer.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "server_options.h"
#include "socket_address.h"

namespace {

constexpr int max_rounds = 16;  // full reads of one connection before the others have their turn

struct Connection {
  int fd = -1;
  std::vector<std::byte> unsent;
};

enum class After { keep, close };

std::array<std::byte, 256 * 1024> buffer;
int epoll_fd = -1;
bool discard = false;

void watch(int operation, int fd, std::uint32_t events, Connection* connection) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = connection;
  if (::epoll_ctl(epoll_fd, operation, fd, &event) != 0) {
    bench::fail("epoll_ctl", std::strerror(errno));
  }
}

constexpr std::uint32_t both_directions = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/// Sends from the front of `data`; returns how much the kernel took, or -1 on an error.
ssize_t send_some(int fd, const std::byte* data, std::size_t size) {
  const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
  return sent < 0 && errno == EAGAIN ? 0 : sent;
}

After flush(Connection& connection) {
  const ssize_t sent = send_some(connection.fd, connection.unsent.data(), connection.unsent.size());
  if (sent < 0) return After::close;
  connection.unsent.erase(connection.unsent.begin(), connection.unsent.begin() + sent);
  return After::keep;
}

After echo(Connection& connection, bool to_the_end) {
  for (int round = 0; round < max_rounds; ++round) {
    const ssize_t received = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
    if (received < 0) return errno == EAGAIN ? After::keep : After::close;
    if (received == 0) return After::close;

    const auto size = static_cast<std::size_t>(received);
    const ssize_t sent = discard ? received : send_some(connection.fd, buffer.data(), size);
    if (sent < 0) return After::close;
    if (sent < received) {  // read no more until this is gone
      connection.unsent.assign(buffer.data() + sent, buffer.data() + size);
      return After::keep;
    }
    if (size < buffer.size() && !to_the_end) return After::keep;
  }
  watch(EPOLL_CTL_MOD, connection.fd, both_directions, &connection);  // tells again what is left
  return After::keep;
}

void on_event(Connection* connection, std::uint32_t events) {
  After after = After::keep;
  if (!connection->unsent.empty()) after = flush(*connection);
  if (after == After::keep && connection->unsent.empty()) {
    after = echo(*connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
  if (after == After::close) {
    ::close(connection->fd);
    delete connection;
  }
}

void accept_all(int listener, bool tcp) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    if (tcp) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(EPOLL_CTL_ADD, fd, both_directions, new Connection{fd, {}});
  }
}

int listen_on(const bench::SocketAddress& address) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (address.family() == AF_INET) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, address.get(), address.size()) != 0 || ::listen(fd, SOMAXCONN) != 0) {
    bench::fail("listen", std::strerror(errno));
  }
  bench::announce(bench::SocketAddress::of(fd).text());
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  discard = options.discard;
  epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  const bool tcp = options.unix_path.empty();
  const int listener = listen_on(tcp ? bench::SocketAddress::loopback(options.port)
                                     : bench::SocketAddress::unix_path(options.unix_path));
  watch(EPOLL_CTL_ADD, listener, EPOLLIN, nullptr);

  std::array<epoll_event, 1024> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == nullptr) {
        accept_all(listener, tcp);
      } else {
        on_event(static_cast<Connection*>(event.data.ptr), event.events);
      }
    }
  }
}
