// libevent's echo server as its users write it: a bufferevent for each connection, and what was read
// is handed to the output as it is, without a copy (bufferevent_write_buffer). With --discard it is
// drained instead.

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "server_options.h"
#include "socket_address.h"

namespace {

bool discard = false;

void on_read(bufferevent* connection, void*) {
  evbuffer* input = bufferevent_get_input(connection);
  if (discard) {
    evbuffer_drain(input, evbuffer_get_length(input));
  } else {
    bufferevent_write_buffer(connection, input);
  }
}

void on_end(bufferevent* connection, short, void*) { bufferevent_free(connection); }

void on_connection(evconnlistener* listener, evutil_socket_t fd, sockaddr* peer, int, void*) {
  const int on = 1;
  if (peer->sa_family == AF_INET) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bufferevent* connection =
      bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(connection, on_read, nullptr, on_end, nullptr);
  bufferevent_enable(connection, EV_READ | EV_WRITE);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  discard = options.discard;
  std::signal(SIGPIPE, SIG_IGN);  // libevent leaves that to its user

  event_base* base = event_base_new();
  const auto address = options.unix_path.empty()
                           ? bench::SocketAddress::loopback(options.port)
                           : bench::SocketAddress::unix_path(options.unix_path);
  evconnlistener* listener =
      evconnlistener_new_bind(base, on_connection, nullptr,
                              LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                              SOMAXCONN, address.get(), static_cast<int>(address.size()));
  if (listener == nullptr) bench::fail("listen", std::strerror(errno));
  bench::announce(bench::SocketAddress::of(evconnlistener_get_fd(listener)).text());
  return event_base_dispatch(base);
}
