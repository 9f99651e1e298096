#include <weir/connect.h>

#include "endpoint_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>

#include "fd.h"

namespace weir {
namespace {

using detail::Fd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

std::array<Fd, 2> socket_pair(int type = SOCK_STREAM) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

class ConnectTest : public EndpointTest {};

// N1, B1: the future gives transport and protocol, after connection_made().
TEST_P(ConnectTest, GivesTransportAndProtocol) {
  const Server server = serve();
  auto future = create_connection(loop, client_factory(), "127.0.0.1", port_of(server));
  EXPECT_THAT(client_calls, IsEmpty());
  const Connection<Recorder> connection = loop.run_until_complete(future);
  EXPECT_THAT(client_calls, ElementsAre("made"));
  EXPECT_EQ(connection.transport, connection.protocol->transport);
  EXPECT_EQ(connection.transport.get_extra_info<Address>("peername"), address_of(server));
}

// N1: names are resolved.
TEST_P(ConnectTest, ResolvesNames) {
  const Server server = serve();
  static_cast<void>(loop.run_until_complete(
      create_connection(loop, client_factory(), "localhost", port_of(server))));
  EXPECT_THAT(client_calls, ElementsAre("made"));
}

// B8: data that was there already comes after the future's callbacks.
TEST_P(ConnectTest, FutureIsDoneBeforeTheFirstData) {
  const Server server = loop.run_until_complete(create_server(
      loop,
      [] {
        struct Greeter : Protocol {
          void connection_made(Transport transport) override { transport.write("hello"); }
        };
        return std::make_shared<Greeter>();
      },
      "127.0.0.1", 0));
  auto future = create_connection(loop, client_factory(), "127.0.0.1", port_of(server));
  future.add_done_callback([this](auto&&) { client_calls.emplace_back("done"); });
  run_until([&] { return client_calls.size() == 3; });
  EXPECT_THAT(client_calls, ElementsAre("made", "done", "hello"));
}

// N5, N13: a connect error carries its code and the address.
TEST_P(ConnectTest, RefusedSaysTheAddress) {
  const std::uint16_t port = unused_port();
  const auto future = create_connection(loop, client_factory(), "127.0.0.1", port);
  EXPECT_EQ(error_of(future),
            "connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");
  EXPECT_THAT(client_calls, IsEmpty());
}

// N5: one address with all_errors is still a group.
TEST_P(ConnectTest, AllErrorsIsAGroup) {
  const auto future =
      create_connection(loop, client_factory(), "127.0.0.1", unused_port(), {.all_errors = true});
  EXPECT_THAT(error_of<AggregateError>(future), StartsWith("Multiple exceptions: connect to"));
}

// N4, N8: the next address is tried when the first one refuses, racing or not.
TEST_P(ConnectTest, TriesTheNextAddress) {
  const Server server = serve();
  for (const auto& delay : {std::optional<std::chrono::nanoseconds>(),
                            std::optional<std::chrono::nanoseconds>(std::chrono::hours(1))}) {
    client_calls.clear();
    const auto connection = loop.run_until_complete(create_connection(
        loop, client_factory(), "localhost", port_of(server), {.happy_eyeballs_delay = delay}));
    EXPECT_EQ(connection.transport.get_extra_info<Address>("peername"), address_of(server));
  }
}

// L37, N4: a name that does not resolve is the resolver's error.
TEST_P(ConnectTest, ResolverErrorIsTheError) {
  const auto future = create_connection(loop, client_factory(), std::string("a\0b", 3), 80);
  EXPECT_THAT(error_of(future), StartsWith("the host name contains a NUL byte"));
}

// N6: the local address is bound to.
TEST_P(ConnectTest, BindsToTheLocalAddress) {
  const Server server = serve();
  const std::uint16_t local = unused_port();
  const auto connection =
      connect(port_of(server), {.local_addr = LocalAddress{"127.0.0.1", local}});
  EXPECT_EQ(connection.transport.get_extra_info<Address>("sockname"),
            Address::ipv4({127, 0, 0, 1}, local));
}

// N6: no local address of the remote's family is an OS error.
TEST_P(ConnectTest, LocalAddressOfAnotherFamily) {
  const Server server = serve();
  const auto future = create_connection(loop, client_factory(), "127.0.0.1", port_of(server),
                                        {.local_addr = LocalAddress{"::1", 0}});
  EXPECT_THAT(error_of(future), ::testing::HasSubstr("no local address is of its family"));
}

// N6: a bind failure says the local address.
TEST_P(ConnectTest, LocalAddressInUse) {
  const Server server = serve();
  const std::string name = address_of(server).to_string();
  const auto future = create_connection(loop, client_factory(), "127.0.0.1", port_of(server),
                                        {.local_addr = LocalAddress{"127.0.0.1", port_of(server)}});
  EXPECT_EQ(error_of(future), "bind to " + name + ": Address already in use");
}

// N4, B11: the factory is called only once connected; what it throws is the error, and the socket
// is closed.
TEST_P(ConnectTest, FactoryThatThrows) {
  const auto factory = []() -> std::shared_ptr<Recorder> { throw std::runtime_error("no"); };
  const auto refused = create_connection(loop, factory, "127.0.0.1", unused_port());
  EXPECT_THAT(error_of(refused), ::testing::HasSubstr("Connection refused"));

  const Server server = serve();
  const auto future = create_connection(loop, factory, "127.0.0.1", port_of(server));
  EXPECT_EQ(error_of<std::runtime_error>(future), "no");
  run_until([&] { return server_calls.size() == 2; });
  EXPECT_THAT(server_calls, ElementsAre("made", "lost"));
}

TEST_P(ConnectTest, FactoryThatMakesNothing) {
  const Server server = serve();
  const auto future = create_connection(
      loop, [] { return std::shared_ptr<Recorder>(); }, "127.0.0.1", port_of(server));
  EXPECT_EQ(error_of<std::invalid_argument>(future), "the protocol factory returned no protocol");
}

// N9: cancelled before it is connected, nothing is called and nothing is left.
TEST_P(ConnectTest, CancelAtOnce) {
  const Server server = serve();
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const auto future = create_connection(loop, client_factory(), host, port_of(server));
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.cancelled());
    settle();
  }
  EXPECT_THAT(client_calls, IsEmpty());
  EXPECT_THAT(server_calls, IsEmpty());
}

// N9, B4: cancelled at any turn: both callbacks, or neither, and the socket is closed.
TEST_P(ConnectTest, CancelAtAnyTurn) {
  const Server server = serve();
  for (int turns = 0; turns < 12; ++turns) {
    client_calls.clear();
    const auto future = create_connection(loop, client_factory(), "127.0.0.1", port_of(server));
    for (int turn = 0; turn < turns; ++turn) loop.run_once(std::chrono::milliseconds(1));
    if (!future.cancel()) break;
    settle();
    EXPECT_TRUE(future.cancelled());
    EXPECT_THAT(client_calls, ::testing::AnyOf(IsEmpty(), ElementsAre("made", "lost"))) << turns;
  }
  server.close();
  server.abort_clients();
  EXPECT_NO_THROW(loop.run_until_complete(server.wait_closed()));
}

// N9: the factory may cancel what it is called for.
TEST_P(ConnectTest, FactoryThatCancels) {
  const Server server = serve();
  Future<Connection<Recorder>> future;
  future = create_connection(
      loop,
      [&] {
        EXPECT_TRUE(future.cancel());
        return std::make_shared<Recorder>(client_calls);
      },
      "127.0.0.1", port_of(server));
  run_until([&] { return future.done(); });
  run_until([&] { return server_calls.size() == 2; });
  EXPECT_THAT(client_calls, IsEmpty());
}

// B4: connection_made() that closes the transport: it is delivered all the same.
TEST_P(ConnectTest, ConnectionMadeThatAborts) {
  const Server server = serve();
  struct Aborter : Recorder {
    using Recorder::Recorder;
    void connection_made(Transport made) override {
      Recorder::connection_made(made);
      made.abort();
    }
  };
  const auto connection = loop.run_until_complete(create_connection(
      loop, [&] { return std::make_shared<Aborter>(client_calls); }, "127.0.0.1", port_of(server)));
  run_until([&] { return client_calls.size() == 2; });
  EXPECT_THAT(client_calls, ElementsAre("made", "lost"));
  EXPECT_TRUE(connection.transport.is_closing());
}

// N2: misuse fails the future, from the loop.
TEST_P(ConnectTest, MisuseIsAnInvalidArgument) {
  auto both = create_connection(loop, client_factory(), "127.0.0.1", 1, {.sock = 0});
  EXPECT_FALSE(both.done());
  EXPECT_EQ(error_of<std::invalid_argument>(both),
            "create_connection() takes either a host and a port or options.sock, not both");
  auto neither = create_connection(loop, client_factory(), ConnectOptions());
  EXPECT_EQ(error_of<std::invalid_argument>(neither),
            "create_connection() needs a host and a port, or a connected socket in options.sock");
}

// L19: the factory runs in the context in which it was handed over.
TEST_P(ConnectTest, FactoryRunsInItsContext) {
  struct Marked : Context {
    void enter() noexcept override {}
    void leave() noexcept override {}
  };
  const Server server = serve();
  const auto context = std::make_shared<Marked>();
  std::shared_ptr<Context> seen;
  Future<Connection<Recorder>> future;
  loop.call_soon(
      [&] {
        future = create_connection(
            loop,
            [&] {
              seen = loop.current_context();
              return std::make_shared<Recorder>(client_calls);
            },
            "127.0.0.1", port_of(server));
      },
      context);
  run_until([&] { return future.valid() && future.done(); });
  EXPECT_EQ(seen, context);
}

// L7: on a closed loop.
TEST_P(ConnectTest, ClosedLoop) {
  loop.close();
  auto future = create_connection(loop, client_factory(), "127.0.0.1", 1);
  EXPECT_THROW(static_cast<void>(future.result()), WrongStateError);
}

// L6: what goes on when the loop is closed is dropped.
TEST_P(ConnectTest, ClosingTheLoopDropsIt) {
  const Server server = serve();
  for (int turns = 0; turns < 3; ++turns) {
    EventLoop other({.backend = GetParam()});
    const auto future = create_connection(other, client_factory(), "localhost", port_of(server));
    for (int turn = 0; turn < turns; ++turn) other.run_once();
    other.close();
    EXPECT_FALSE(future.done());
  }
  EXPECT_THAT(client_calls, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Backends, ConnectTest,
                         ::testing::Values(BackendKind::epoll, BackendKind::simulated),
                         backend_name);

/// Sockets that are open already: there are none in the simulation.
class ConnectSocketTest : public EndpointTest {};

// N10: a connected socket, of any family, becomes the transport's.
TEST_P(ConnectSocketTest, TakesAConnectedSocket) {
  auto [near, far] = socket_pair();
  const int descriptor = near.release();
  const auto connection = loop.run_until_complete(
      create_connection(loop, client_factory(), ConnectOptions{.sock = descriptor}));
  EXPECT_NE(::fcntl(descriptor, F_GETFL) & O_NONBLOCK, 0);
  ASSERT_EQ(::write(far.get(), "hi", 2), 2);
  run_until([&] { return client_calls.size() == 2; });
  far.reset();
  run_until([&] { return client_calls.size() == 3; });
  EXPECT_THAT(client_calls, ElementsAre("made", "hi", "lost"));
  settle();
  EXPECT_FALSE(is_open(descriptor));
}

// N12: an accepted socket, without a server.
TEST_P(ConnectSocketTest, ServesAnAcceptedSocket) {
  auto [near, far] = socket_pair();
  const auto connection =
      loop.run_until_complete(connect_accepted_socket(loop, server_factory(), near.release()));
  connection.transport.write("welcome");
  std::array<char, 16> buffer{};
  EXPECT_EQ(::read(far.get(), buffer.data(), buffer.size()), 7);
  EXPECT_THAT(server_calls, ElementsAre("made"));
}

// N2, N9: on misuse the socket stays the caller's.
TEST_P(ConnectSocketTest, MisuseLeavesTheSocketAlone) {
  auto [datagram, far] = socket_pair(SOCK_DGRAM);
  const std::string name = "descriptor " + std::to_string(datagram.get());
  EXPECT_EQ(error_of<std::invalid_argument>(
                create_connection(loop, client_factory(), ConnectOptions{.sock = datagram.get()})),
            name + " is not a stream socket");
  EXPECT_EQ(error_of<std::invalid_argument>(
                connect_accepted_socket(loop, client_factory(), datagram.get())),
            name + " is not a stream socket");
  EXPECT_TRUE(is_open(datagram.get()));

  const Fd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_THAT(error_of<std::invalid_argument>(
                  create_connection(loop, client_factory(), ConnectOptions{.sock = file.get()})),
              ::testing::EndsWith(" is not a socket"));
  EXPECT_THAT(error_of<std::invalid_argument>(
                  create_connection(loop, client_factory(), ConnectOptions{.sock = 1 << 20})),
              ::testing::EndsWith(" is not open"));
}

// L30: a descriptor has one transport.
TEST_P(ConnectSocketTest, SecondTransportIsAWrongState) {
  auto [near, far] = socket_pair();
  const int descriptor = near.release();
  const auto first = loop.run_until_complete(
      create_connection(loop, client_factory(), ConnectOptions{.sock = descriptor}));
  EXPECT_THAT(error_of<WrongStateError>(
                  create_connection(loop, client_factory(), ConnectOptions{.sock = descriptor})),
              ::testing::EndsWith(" is used by a transport already"));
  EXPECT_TRUE(is_open(descriptor));
  EXPECT_FALSE(first.transport.is_closing());
}

// N9, B11: a factory that throws closes the socket it was given for.
TEST_P(ConnectSocketTest, FactoryThatThrowsClosesTheSocket) {
  auto [near, far] = socket_pair();
  const int descriptor = near.release();
  const auto future = create_connection(
      loop, []() -> std::shared_ptr<Recorder> { throw std::runtime_error("no"); },
      ConnectOptions{.sock = descriptor});
  EXPECT_EQ(error_of<std::runtime_error>(future), "no");
  EXPECT_FALSE(is_open(descriptor));
}

// N9: cancelled, the socket is closed; whether before the transport exists or after.
TEST_P(ConnectSocketTest, CancelClosesTheSocket) {
  for (int turns = 0; turns < 4; ++turns) {
    client_calls.clear();
    auto [near, far] = socket_pair();
    const int descriptor = near.release();
    const auto future =
        create_connection(loop, client_factory(), ConnectOptions{.sock = descriptor});
    for (int turn = 0; turn < turns; ++turn) loop.run_once();
    if (!future.cancel()) break;
    settle();
    EXPECT_FALSE(is_open(descriptor)) << turns;
    EXPECT_THAT(client_calls, ::testing::AnyOf(IsEmpty(), ElementsAre("made", "lost"))) << turns;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ConnectSocketTest, ::testing::Values(BackendKind::epoll),
                         backend_name);

// N7, N8, N9: real addresses that never answer: a listener whose queue is full.
class ConnectRaceOnSocketsTest : public EndpointTest {};

TEST_P(ConnectRaceOnSocketsTest, CancelClosesAttemptsInProgress) {
  const Server full = serve({.backlog = 0, .start_serving = false});
  ASSERT_EQ(::listen(full.sockets().at(0).descriptor, 0), 0);
  std::vector<Future<Connection<Recorder>>> attempts;
  for (int i = 0; i < 4; ++i) {
    attempts.push_back(create_connection(loop, client_factory(), "127.0.0.1", port_of(full)));
  }
  settle();
  const auto waiting = [](const auto& attempt) { return !attempt.done(); };
  ASSERT_TRUE(std::ranges::any_of(attempts, waiting));
  for (const auto& attempt : attempts) {
    if (attempt.done()) continue;
    EXPECT_TRUE(attempt.cancel());
    EXPECT_TRUE(attempt.cancelled());
  }
  settle();
}

INSTANTIATE_TEST_SUITE_P(Backends, ConnectRaceOnSocketsTest, ::testing::Values(BackendKind::epoll),
                         backend_name);

}  // namespace
}  // namespace weir
