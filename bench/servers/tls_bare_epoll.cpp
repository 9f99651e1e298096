// The yardstick for TLS: an echo server with nothing between OpenSSL and the kernel but
// support/tls_connection.h. As echo_bare_epoll.cpp: edge-triggered, one recv for each readiness into
// one shared buffer; all that it decrypts to goes back in one SSL_write and one send.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "server_options.h"
#include "socket_address.h"
#include "tls_connection.h"

namespace {

using bench::TlsConnection;

constexpr int max_rounds = 16;  // full reads of one connection before the others have their turn

enum class After { keep, close };

std::array<std::byte, TlsConnection::max_received> plain;
int epoll_fd = -1;

void watch(int operation, int fd, std::uint32_t events, TlsConnection* connection) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = connection;
  if (::epoll_ctl(epoll_fd, operation, fd, &event) != 0) {
    bench::fail("epoll_ctl", std::strerror(errno));
  }
}

constexpr std::uint32_t both_directions = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

After echo(TlsConnection& connection, bool to_the_end) {
  for (int round = 0; round < max_rounds; ++round) {
    const auto received = connection.receive(plain);
    if (received.size > 0 && !connection.send(std::span(plain).first(received.size))) {
      return After::close;
    }
    if (received.ended) {  // with our close_notify, if that can still be sent
      static_cast<void>(connection.shut_down());
      return After::close;
    }
    if (connection.has_unsent()) return After::keep;  // read no more until this is gone
    if (received.drained && !to_the_end) return After::keep;
  }
  watch(EPOLL_CTL_MOD, connection.fd(), both_directions, &connection);  // tells again what is left
  return After::keep;
}

void on_event(TlsConnection* connection, std::uint32_t events) {
  After after = After::keep;
  if (connection->has_unsent() && !connection->flush()) after = After::close;
  if (after == After::keep && !connection->has_unsent()) {
    after = echo(*connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
  if (after == After::close) delete connection;
}

void accept_all(int listener, SSL_CTX* context) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(EPOLL_CTL_ADD, fd, both_directions, new TlsConnection(fd, context));
  }
}

int listen_on(std::uint16_t port) {
  const auto address = bench::SocketAddress::loopback(port);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, address.get(), address.size()) != 0 || ::listen(fd, SOMAXCONN) != 0) {
    bench::fail("listen", std::strerror(errno));
  }
  bench::announce(bench::SocketAddress::of(fd).text());
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  const auto context = bench::tls_server_context();
  epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  const int listener = listen_on(options.port);
  watch(EPOLL_CTL_ADD, listener, EPOLLIN, nullptr);

  std::array<epoll_event, 1024> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == nullptr) {
        accept_all(listener, context.get());
      } else {
        on_event(static_cast<TlsConnection*>(event.data.ptr), event.events);
      }
    }
  }
}
