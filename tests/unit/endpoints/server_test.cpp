#include <weir/server.h>

#include "endpoint_fixture.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ServerTest : public EndpointTest {
 protected:
  /// Connects a client, and waits until both sides know.
  Transport connect_client(const Server& server) {
    const std::size_t before = server_protocols.size();
    const Transport client = connect(port_of(server)).transport;
    run_until([&] {
      return server_protocols.size() > before && !server_protocols.back()->transport.is_closing();
    });
    return client;
  }

  /// True if someone accepts connections at `port`.
  bool accepts(std::uint16_t port) {
    const auto future = create_connection(
        loop, [] { return std::make_shared<Protocol>(); }, "127.0.0.1", port);
    run_until([&] { return future.done(); });
    return future.exception() == nullptr;
  }
};

// V1, V5: when the future is done, it listens; V8: the factory is called once a connection, and the
// peer is the one accepted.
TEST_P(ServerTest, ServesConnections) {
  const Server server = serve();
  EXPECT_TRUE(server.is_serving());
  EXPECT_EQ(server.get_loop(), &loop);
  const Transport client = connect_client(server);
  connect_client(server);
  ASSERT_THAT(server_protocols, SizeIs(2));
  EXPECT_EQ(server_protocols[0]->transport.get_extra_info<Address>("peername"),
            client.get_extra_info<Address>("sockname"));
}

// V3: no host is all interfaces of both families; each port 0 becomes a free port.
TEST_P(ServerTest, NoHostIsAllInterfaces) {
  for (const Hosts& hosts : {Hosts(), Hosts("")}) {
    const Server server = loop.run_until_complete(create_server(loop, server_factory(), hosts, 0));
    const auto sockets = server.sockets();
    ASSERT_THAT(sockets, ::testing::Not(IsEmpty()));
    for (const SocketView& socket : sockets) EXPECT_NE(socket.sockname.port(), 0);
    EXPECT_TRUE(accepts(port_of(server)));
    server.close();
  }
}

// V3: IPv6 sockets take IPv6 only, so both families share a port.
TEST_P(ServerTest, BothFamiliesShareAPort) {
  const std::uint16_t port = unused_port();
  const Server server = loop.run_until_complete(create_server(loop, server_factory(), "", port));
  for (const SocketView& socket : server.sockets()) EXPECT_EQ(socket.sockname.port(), port);
  EXPECT_TRUE(accepts(port));
}

// V3: several hosts, duplicates once.
TEST_P(ServerTest, SeveralHosts) {
  const std::uint16_t port = unused_port();
  const Server server = loop.run_until_complete(
      create_server(loop, server_factory(), {"127.0.0.1", "127.0.0.2", "127.0.0.1"}, port));
  ASSERT_THAT(server.sockets(), SizeIs(2));
  EXPECT_EQ(server.sockets()[0].sockname, Address::ipv4({127, 0, 0, 1}, port));
  EXPECT_EQ(server.sockets()[1].sockname, Address::ipv4({127, 0, 0, 2}, port));
}

// V3: only addresses of the family asked for.
TEST_P(ServerTest, OneFamily) {
  const Server server = loop.run_until_complete(
      create_server(loop, server_factory(), "localhost", 0, {.family = AddressFamily::ipv4}));
  ASSERT_THAT(server.sockets(), SizeIs(1));
  EXPECT_EQ(address_of(server).family(), AddressFamily::ipv4);
}

// V3: an address that no interface has is skipped; if none is left, that is the error.
TEST_P(ServerTest, SkipsAddressesNobodyHas) {
  const Server server =
      loop.run_until_complete(create_server(loop, server_factory(), {"192.0.2.1", "127.0.0.1"}, 0));
  EXPECT_THAT(server.sockets(), SizeIs(1));
  EXPECT_EQ(error_of(create_server(loop, server_factory(), "192.0.2.1", 80)),
            "bind to 192.0.2.1:80: Cannot assign requested address");
}

// V3: any other failure to bind says the address, and closes all sockets.
TEST_P(ServerTest, AddressInUse) {
  const Server server = serve();
  const std::uint16_t port = port_of(server);
  EXPECT_EQ(error_of(create_server(loop, server_factory(), {"127.0.0.2", "127.0.0.1"}, port)),
            "bind to 127.0.0.1:" + std::to_string(port) + ": Address already in use");
  const Server other =
      loop.run_until_complete(create_server(loop, server_factory(), "127.0.0.2", port));
  EXPECT_THAT(other.sockets(), SizeIs(1));
}

// V4: with reuse_port several servers share a port.
TEST_P(ServerTest, SharedPort) {
  const Server first = serve({.reuse_port = true});
  const Server second = loop.run_until_complete(
      create_server(loop, server_factory(), "127.0.0.1", port_of(first), {.reuse_port = true}));
  EXPECT_EQ(address_of(first), address_of(second));
}

// V2: misuse fails the future, from the loop.
TEST_P(ServerTest, MisuseIsAnInvalidArgument) {
  const auto both = create_server(loop, server_factory(), "127.0.0.1", 0, {.sock = 0});
  EXPECT_FALSE(both.done());
  EXPECT_EQ(error_of<std::invalid_argument>(both),
            "create_server() takes either hosts and a port or options.sock, not both");
  EXPECT_EQ(error_of<std::invalid_argument>(create_server(loop, server_factory(), ServerOptions())),
            "create_server() needs hosts and a port, or a bound socket in options.sock");
}

// N9: cancelled while resolving, nothing is bound.
TEST_P(ServerTest, CancelledOpening) {
  const std::uint16_t port = unused_port();
  const auto future = create_server(loop, server_factory(), "localhost", port);
  EXPECT_TRUE(future.cancel());
  settle();
  EXPECT_TRUE(future.cancelled());
  EXPECT_FALSE(accepts(port));
}

// V5: without start_serving it is bound, but does not listen until told to.
TEST_P(ServerTest, StartsServingLater) {
  const Server server = serve({.start_serving = false});
  EXPECT_FALSE(server.is_serving());
  EXPECT_THAT(server.sockets(), SizeIs(1));
  EXPECT_FALSE(accepts(port_of(server)));
  for (int repeated = 0; repeated < 2; ++repeated) {
    loop.run_until_complete(server.start_serving());
    EXPECT_TRUE(server.is_serving());
  }
  EXPECT_TRUE(accepts(port_of(server)));
}

// V6: a backlog of 0 still accepts.
TEST_P(ServerTest, BacklogOfZero) {
  const Server server = serve({.backlog = 0});
  connect_client(server);
  connect_client(server);
  EXPECT_THAT(server_protocols, SizeIs(2));
}

// V9: close() ends listening at once, and nothing else; repeated it does nothing.
TEST_P(ServerTest, CloseLeavesConnectionsAlone) {
  const Server server = serve();
  const std::uint16_t port = port_of(server);
  const Transport client = connect_client(server);
  for (int repeated = 0; repeated < 2; ++repeated) {
    server.close();
    EXPECT_FALSE(server.is_serving());
    EXPECT_THAT(server.sockets(), IsEmpty());
  }
  EXPECT_FALSE(accepts(port));
  client.write("hello");
  run_until([&] { return server_calls.size() == 2; });
  EXPECT_THAT(server_calls, ElementsAre("made", "hello"));
  EXPECT_EQ(server.get_loop(), &loop);
}

TEST_P(ServerTest, ClosedServerDoesNotStartAgain) {
  const Server server = serve();
  server.close();
  EXPECT_EQ(error_of<WrongStateError>(server.start_serving()), "the server is closed");
  EXPECT_EQ(error_of<WrongStateError>(server.serve_forever()), "the server is closed");
}

// V10: close_clients() closes every connection, and not the server.
TEST_P(ServerTest, CloseClients) {
  const Server server = serve();
  connect_client(server);
  connect_client(server);
  server.close_clients();
  run_until([&] { return server_calls.size() == 4; });
  EXPECT_THAT(server_calls, ElementsAre("made", "made", "lost", "lost"));
  EXPECT_TRUE(server.is_serving());
  connect_client(server);
}

// V10: abort_clients() drops what is not sent.
TEST_P(ServerTest, AbortClients) {
  const Server server = serve();
  const Transport client = connect_client(server);
  client.pause_reading();
  server_protocols[0]->transport.write(std::string(20'000'000, 'x'));
  server.close_clients();
  settle();
  EXPECT_THAT(server_calls, ElementsAre("made"));
  server.abort_clients();
  run_until([&] { return server_calls.size() == 2; });
  EXPECT_THAT(server_calls, ElementsAre("made", "lost"));
}

// V11: done when closed and the last connection is gone, in this order ...
TEST_P(ServerTest, WaitClosedWaitsForTheLastConnection) {
  const Server server = serve();
  const Transport client = connect_client(server);
  const auto first = server.wait_closed();
  server.close();
  const auto second = server.wait_closed();
  settle();
  EXPECT_FALSE(first.done());
  EXPECT_FALSE(second.done());
  client.close();
  loop.run_until_complete(first);
  EXPECT_TRUE(second.done());
  EXPECT_THAT(server_calls, ElementsAre("made", "lost"));
  EXPECT_TRUE(server.wait_closed().done());
}

// V11: ... and in the other.
TEST_P(ServerTest, WaitClosedWaitsForClose) {
  const Server server = serve();
  const Transport client = connect_client(server);
  const auto waiter = server.wait_closed();
  client.close();
  run_until([&] { return server_calls.size() == 2; });
  settle();
  EXPECT_FALSE(waiter.done());
  server.close();
  EXPECT_TRUE(waiter.done());
}

// V11: a waiter that was cancelled is no trouble.
TEST_P(ServerTest, CancelledWaiter) {
  const Server server = serve();
  EXPECT_TRUE(server.wait_closed().cancel());
  const auto waiter = server.wait_closed();
  server.close();
  EXPECT_TRUE(waiter.done());
}

// V13: cancelling serve_forever() closes the server and its connections, and waits for them.
TEST_P(ServerTest, CancelledServeForever) {
  const Server server = serve({.start_serving = false});
  const auto serving = server.serve_forever();
  EXPECT_TRUE(server.is_serving());
  connect_client(server);
  EXPECT_TRUE(serving.cancel());
  EXPECT_FALSE(server.is_serving());
  EXPECT_FALSE(serving.done());
  run_until([&] { return serving.done(); });
  EXPECT_TRUE(serving.cancelled());
  EXPECT_THAT(server_calls, ElementsAre("made", "lost"));
}

TEST_P(ServerTest, CancelledServeForeverWithoutConnections) {
  const Server server = serve();
  const auto serving = server.serve_forever();
  EXPECT_TRUE(serving.cancel());
  EXPECT_TRUE(serving.cancelled());
  EXPECT_TRUE(server.wait_closed().done());
}

// V13: only one at a time.
TEST_P(ServerTest, ServedTwice) {
  const Server server = serve();
  const auto serving = server.serve_forever();
  EXPECT_EQ(error_of<WrongStateError>(server.serve_forever()),
            "the server is served already: serve_forever() was called before");
  EXPECT_FALSE(serving.done());
}

// V9, V13: close() ends serve_forever() as cancelled, once the connections are gone.
TEST_P(ServerTest, CloseEndsServeForever) {
  const Server server = serve();
  const auto serving = server.serve_forever();
  const Transport client = connect_client(server);
  server.close();
  settle();
  EXPECT_FALSE(serving.done());
  client.close();
  run_until([&] { return serving.done(); });
  EXPECT_TRUE(serving.cancelled());
}

// B11: what the factory throws closes that connection; serving goes on, and debug mode reports.
TEST_P(ServerTest, FactoryThatThrows) {
  bool broken = true;
  const Server server = loop.run_until_complete(create_server(
      loop,
      [&] {
        if (broken) throw std::runtime_error("no");
        return std::make_shared<Recorder>(server_calls);
      },
      "127.0.0.1", 0));
  connect(port_of(server));
  run_until([&] { return client_calls.size() == 2; });
  EXPECT_THAT(reports, ElementsAre("Error on transport creation for incoming connection"));
  loop.set_debug(false);
  connect(port_of(server));
  run_until([&] { return client_calls.size() == 4; });
  EXPECT_THAT(reports, SizeIs(1));
  broken = false;
  connect(port_of(server));
  run_until([&] { return server_calls.size() == 1; });
  EXPECT_THAT(server_calls, ElementsAre("made"));
}

// The factory is the user's: it may close the server.
TEST_P(ServerTest, FactoryThatClosesTheServer) {
  Server server;
  server = loop.run_until_complete(create_server(
      loop,
      [&] {
        server.close();
        return std::make_shared<Recorder>(server_calls);
      },
      "127.0.0.1", 0));
  const Transport client = connect(port_of(server)).transport;
  const auto closed = server.wait_closed();
  run_until([&] { return !server_calls.empty(); });
  EXPECT_FALSE(closed.done());
  client.close();
  loop.run_until_complete(closed);
  EXPECT_THAT(server_calls, ElementsAre("made", "lost"));
}

// B2, V10: a connection aborted before connection_made() gets both callbacks.
TEST_P(ServerTest, ClosesConnectionsThatHaveNotBegun) {
  Server server;
  server = loop.run_until_complete(create_server(
      loop,
      [&] {
        loop.call_soon([&] { server.abort_clients(); });
        return std::make_shared<Recorder>(server_calls);
      },
      "127.0.0.1", 0));
  connect(port_of(server));
  run_until([&] { return server_calls.size() == 2; });
  EXPECT_THAT(server_calls, ElementsAre("made", "lost"));
}

// V16: a server whose handles are all dropped keeps serving.
TEST_P(ServerTest, ServesWithoutHandles) {
  const std::uint16_t port = port_of(serve());
  EXPECT_TRUE(accepts(port));
}

// V16: what the factory holds is released when the server is over.
TEST_P(ServerTest, ReleasesTheFactory) {
  const auto held = std::make_shared<int>(0);
  const Server server = loop.run_until_complete(create_server(
      loop, [held] { return std::make_shared<Protocol>(); }, "127.0.0.1", 0));
  EXPECT_GT(held.use_count(), 1);
  server.close();
  EXPECT_EQ(held.use_count(), 1);
}

// V16: once its loop is closed it behaves as closed, and once that is gone too.
TEST_P(ServerTest, OutlivesItsLoop) {
  auto other = std::make_unique<EventLoop>(LoopOptions{.backend = GetParam()});
  const auto held = std::make_shared<int>(0);
  const Server server = other->run_until_complete(create_server(
      *other, [held] { return std::make_shared<Protocol>(); }, "127.0.0.1", 0));
  const auto connecting = create_connection(
      *other, [] { return std::make_shared<Protocol>(); }, "127.0.0.1", port_of(server));
  const auto connection = other->run_until_complete(connecting);
  const auto waiter = server.wait_closed();
  const auto serving = server.serve_forever();
  for (int turn = 0; turn < 5; ++turn) other->run_once(std::chrono::milliseconds(1));

  other->close();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(server.is_serving());
  EXPECT_THAT(server.sockets(), IsEmpty());
  EXPECT_FALSE(waiter.done());
  EXPECT_EQ(server.get_loop(), other.get());
  EXPECT_TRUE(server.wait_closed().done());

  other.reset();
  EXPECT_EQ(server.get_loop(), nullptr);
  server.close();
  server.close_clients();
  server.abort_clients();
  EXPECT_TRUE(serving.cancel());
  EXPECT_THROW(static_cast<void>(server.wait_closed()), WrongStateError);
  EXPECT_THROW(static_cast<void>(server.serve_forever()), WrongStateError);
}

TEST(ServerHandleTest, DefaultNamesNothing) {
  const Server server;
  EXPECT_FALSE(server.is_serving());
  EXPECT_THAT(server.sockets(), IsEmpty());
  EXPECT_EQ(server.get_loop(), nullptr);
  server.close();
  server.close_clients();
  server.abort_clients();
  EXPECT_THROW(static_cast<void>(server.wait_closed()), WrongStateError);
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerTest,
                         ::testing::Values(BackendKind::epoll, BackendKind::simulated),
                         backend_name);

/// Sockets that are bound already: there are none in the simulation.
class ServerSocketTest : public EndpointTest {};

// V2: a bound socket is the server's from then on.
TEST_P(ServerSocketTest, TakesABoundSocket) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  const Server server = loop.run_until_complete(
      create_server(loop, server_factory(), ServerOptions{.sock = descriptor}));
  EXPECT_EQ(server.sockets().at(0).descriptor, descriptor);
  connect(port_of(server));
  run_until([&] { return !server_calls.empty(); });
}

// V2: a socket that is no stream stays the caller's.
TEST_P(ServerSocketTest, MisuseLeavesTheSocketAlone) {
  const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(error_of<std::invalid_argument>(
                create_server(loop, server_factory(), ServerOptions{.sock = descriptor})),
            "descriptor " + std::to_string(descriptor) + " is not a stream socket");
  EXPECT_EQ(::close(descriptor), 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerSocketTest, ::testing::Values(BackendKind::epoll),
                         backend_name);

}  // namespace
}  // namespace weir
