// weir_allocations_gate BACKEND: heap allocations for each echoed message once the connections are warm. There must be
// none: what waits is in pooled chunks, callbacks in pooled entries, and what arrives in the loop's buffers. Counted is
// what goes through operator new, so what OpenSSL allocates is not.
#include <sys/socket.h>
#include <weir/weir.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "counted_new.h"
#include "echo_connections.h"
#include "gate.h"

#ifdef WEIR_TEST_TLS
#include "certificates.h"
#endif

namespace {

using namespace weir;

constexpr std::size_t connections = 10;
constexpr std::size_t rounds = 200;
constexpr std::array sizes{std::size_t{1000}, std::size_t{100'000}};

/// Of a run of `exchange()`, after one that warms up.
template <class Exchange>
bool allocates_nothing(const std::string& what, std::size_t size, std::size_t messages,
                       Exchange exchange) {
  exchange();
  const std::size_t before = bench::heap_count().allocations;
  exchange();
  const std::size_t count = bench::heap_count().allocations - before;
  return gate::within("allocations a message, " + what + ", " + std::to_string(size) + " bytes",
                      static_cast<double>(count) / static_cast<double>(messages), 0);
}

bool streams_allocate_nothing(const std::string& what, std::size_t size,
                              gate::EchoConnections echo) {
  return allocates_nothing(what, size, connections * rounds, [&] { echo.exchange(rounds); });
}

bool tcp_allocates_nothing(EventLoop& loop, std::size_t size) {
  return streams_allocate_nothing("TCP", size, gate::echo_over_tcp(loop, connections, size));
}

bool unix_sockets_allocate_nothing(EventLoop& loop, std::size_t size) {
  const auto connect = [&](auto factory) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      throw std::runtime_error("no socket pair");
    }
    loop.run_until_complete(
        create_unix_connection<gate::Echo>(loop, UnixConnectOptions{.sock = ends[0]}));
    return create_unix_connection(loop, std::move(factory), UnixConnectOptions{.sock = ends[1]});
  };
  return streams_allocate_nothing("Unix sockets", size,
                                  gate::EchoConnections(loop, connections, size, connect));
}

#ifdef WEIR_TEST_TLS
bool tls_allocates_nothing(EventLoop& loop, std::size_t size) {
  const auto authority = test::TestCertificate::authority();
  ConnectOptions at_client;
  at_client.tls = TlsContext::client({.trusted = {authority.trusted()}});
  ServerOptions at_server;
  at_server.tls = TlsContext::server({.identity = authority.server().identity()});
  return streams_allocate_nothing(
      "TLS", size, gate::echo_over_tcp(loop, connections, size, at_client, at_server));
}
#endif

struct EchoDatagrams : DatagramProtocol {
  void connection_made(DatagramTransport made) override { transport = made; }
  void datagram_received(std::span<const std::byte> data, const Address& sender) override {
    transport.sendto(data, sender);
  }

  DatagramTransport transport;
};

struct DatagramClient : DatagramProtocol {
  explicit DatagramClient(gate::Waiting& clients) : waiting(clients) {}
  void datagram_received(std::span<const std::byte>, const Address&) override {
    waiting.one_is_done();
  }

  gate::Waiting& waiting;
};

bool datagrams_allocate_nothing(EventLoop& loop, std::size_t size) {
  constexpr std::size_t at_once = 64;
  gate::Waiting waiting(loop);
  const auto server = loop.run_until_complete(
      create_datagram_endpoint<EchoDatagrams>(loop, {.local_addr = LocalAddress{"127.0.0.1", 0}}));
  const auto address = server.transport.get_extra_info<Address>("sockname");
  const auto client = loop.run_until_complete(
      create_datagram_endpoint(loop, [&] { return std::make_shared<DatagramClient>(waiting); },
                               {.remote_addr = LocalAddress{"127.0.0.1", address->port()}}));
  const std::vector<std::byte> message(size);
  const bool none = allocates_nothing("UDP", size, at_once * rounds, [&] {
    for (std::size_t round = 0; round < rounds; ++round) {
      for (std::size_t i = 0; i < at_once; ++i) client.transport.sendto(message);
      waiting.run(at_once);
    }
  });
  client.transport.abort();
  server.transport.abort();
  return none;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: weir_allocations_gate epoll|uring\n", stderr), 2;
  ::unsetenv("WEIR_CHECK");  // a checker keeps a diary of its own
  EventLoop loop({.backend = gate::backend_of(argv[1])});
  bool none = true;
  for (const std::size_t size : sizes) {
    none = tcp_allocates_nothing(loop, size) && none;
    none = unix_sockets_allocate_nothing(loop, size) && none;
#ifdef WEIR_TEST_TLS
    none = tls_allocates_nothing(loop, size) && none;
#endif
  }
  none = datagrams_allocate_nothing(loop, sizes.front()) && none;
  return none ? 0 : 1;
}
