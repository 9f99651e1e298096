// How TLS connections are opened: N2, N3, N11, N12, V2, V10-V12, B4, B11, T4, T7.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tap.h"
#include "temporary_directory.h"
#include "tls_support.h"

namespace weir::test {
namespace {

class TlsOpening : public EveryTls {
 protected:
  /// With what the opening fails that `future` is of.
  template <class T>
  std::string error_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    return what(future.exception());
  }
};

struct Silent : Protocol {};

constexpr std::chrono::seconds second(1);

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, TlsOpening, ::testing::ValuesIn(backends()), backend_name);

// N2, N3, T4: options that do not fit together are refused, before anything is connected.
TEST_P(TlsOpening, RefusesWhatDoesNotFit) {
  const auto refusal = [&](ConnectOptions options) {
    return error_of(create_connection<Silent>(loop(), "127.0.0.1", 1, std::move(options)));
  };
  EXPECT_EQ(refusal({.server_hostname = "localhost"}),
            "create_connection: server_hostname is for TLS only: there is no tls context");
  EXPECT_EQ(refusal({.tls_handshake_timeout = second}),
            "create_connection: tls_handshake_timeout is for TLS only: there is no tls context");
  EXPECT_EQ(refusal({.tls_shutdown_timeout = second}),
            "create_connection: tls_shutdown_timeout is for TLS only: there is no tls context");
  EXPECT_EQ(refusal({.tls = client_context(), .tls_handshake_timeout = second * 0}),
            "create_connection: tls_handshake_timeout must be positive");
  EXPECT_EQ(refusal({.tls = client_context(), .tls_handshake_timeout = -second}),
            "create_connection: tls_handshake_timeout must be positive");
  EXPECT_EQ(refusal({.tls = client_context(), .tls_shutdown_timeout = second * 0}),
            "create_connection: tls_shutdown_timeout must be positive");
  EXPECT_EQ(refusal({.tls = server_context()}),
            "create_connection: a client needs a context of TlsContext::client(), not of "
            "TlsContext::server()");
  EXPECT_EQ(
      error_of(create_connection<Silent>(loop(), {.sock = 0, .tls = client_context()})),
      "create_connection: without a host, TLS needs a server_hostname: whom the certificate must "
      "be of, or empty for no check");
}

// N11, N12, V2, V14: the same of the other openers.
TEST_P(TlsOpening, RefusesWhatDoesNotFitTheOtherOpeners) {
  EXPECT_EQ(
      error_of(create_unix_connection<Silent>(loop(), "x", {.tls = client_context()})),
      "create_unix_connection: without a host, TLS needs a server_hostname: whom the certificate "
      "must be of, or empty for no check");
  EXPECT_EQ(error_of(create_unix_connection<Silent>(loop(), "x", {.server_hostname = ""})),
            "create_unix_connection: server_hostname is for TLS only: there is no tls context");
  EXPECT_EQ(error_of(connect_accepted_socket(loop(), [] { return Silent(); }, 0,
                                             {.tls = client_context()})),
            "connect_accepted_socket: a server needs a context of TlsContext::server(), not of "
            "TlsContext::client()");
  EXPECT_EQ(
      error_of(connect_accepted_socket(loop(), [] { return Silent(); }, 0,
                                       {.tls_handshake_timeout = second})),
      "connect_accepted_socket: tls_handshake_timeout is for TLS only: there is no tls context");
  EXPECT_EQ(error_of(create_server<Silent>(loop(), "127.0.0.1", 0, {.tls = client_context()})),
            "create_server: a server needs a context of TlsContext::server(), not of "
            "TlsContext::client()");
  EXPECT_EQ(
      error_of(create_server<Silent>(loop(), "127.0.0.1", 0, {.tls_shutdown_timeout = second})),
      "create_server: tls_shutdown_timeout is for TLS only: there is no tls context");
  EXPECT_EQ(error_of(create_unix_server<Silent>(loop(), "x", {.tls_handshake_timeout = second})),
            "create_unix_server: tls_handshake_timeout is for TLS only: there is no tls context");
}

// N2: a server_hostname that cannot be one is refused, what TLS cannot use fails the opener.
TEST_P(TlsOpening, RefusesAHostNameThatCannotBe) {
  for (const std::string& name :
       {std::string(".example.org"), std::string("."), std::string("localhost\0.example.org", 22),
        std::string("127.0.0.1\0", 10)}) {
    Recorder& client = new_client();
    auto refused = start_client(client, 1, {.server_hostname = name});
    run_until([&] { return refused.done(); });
    EXPECT_THROW(refused.result(), std::invalid_argument) << name;
    EXPECT_EQ(client.calls, Calls());
  }
  const Server server = listen_tls();
  Recorder& client = new_client();
  auto failed = start_client(client, port_of(server), {.server_hostname = std::string(300, 'a')});
  run_until([&] { return failed.done(); });
  EXPECT_THROW(failed.result(), TlsError);
  EXPECT_EQ(client.calls, Calls());
}

// N11, V14: TLS over a Unix socket.
TEST_P(TlsOpening, RunsOverUnixSockets) {
  const std::string path = new_socket_path();
  const Server server = run_until_done(
      create_unix_server(loop(), accepting_factory(), path, {.tls = server_context()}));
  Recorder& client = new_client();
  run_until_done(create_unix_connection(loop(), factory_of(client), path,
                                        {.tls = client_context(), .server_hostname = "localhost"}));
  client.transport.write("hello");
  run_until([&] { return accepted.size() == 1 && accepted[0].received == "hello"; });
}

// N2, N12: TLS over sockets that are connected already.
TEST(TlsOverSockets, Runs) {
  EventLoop loop;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Recorder left(loop, ProtocolKind::stream, "left");
  Recorder right(loop, ProtocolKind::stream, "right");
  auto accepted = connect_accepted_socket(loop, [&] { return right.protocol(); }, ends[1],
                                          {.tls = server_context()});
  run_until_done(loop,
                 create_connection(
                     loop, [&] { return left.protocol(); },
                     {.sock = ends[0], .tls = client_context(), .server_hostname = "localhost"}));
  run_until_done(loop, accepted);
  left.transport.write("hello");
  run_until(loop, [&] { return right.received == "hello"; });
  loop.close();
}

// N4, B11: the factory is called once the connection is up, and before the handshake; what it throws fails
// the opener, and the peer sees the connection end.
TEST_P(TlsOpening, FailsWithWhatTheFactoryThrows) {
  const Server server = listen_tls();
  auto failed = create_connection(
      loop(), []() -> std::shared_ptr<Protocol> { throw TestError(); }, "127.0.0.1",
      port_of(server), tls_client());
  EXPECT_EQ(outcome_of(failed), "test error");
  settle_loop();
  EXPECT_EQ(accepted.at(0).calls, Calls());
}

// B11: a server's factory that throws costs its connection only.
TEST_P(TlsOpening, ServesOnWhenTheFactoryThrows) {
  int made = 0;
  const Server server = run_until_done(create_server(
      loop(),
      [&] {
        if (++made == 1) throw TestError();
        return accepting_factory()();
      },
      "127.0.0.1", 0, tls_server()));
  Recorder& client = new_client();
  EXPECT_EQ(outcome_of(start_client(client, port_of(server))), "Connection reset by peer");
  EXPECT_EQ(client.calls, Calls());
  connect_tls(port_of(server));
}

// B4, T7, N9: whenever an opener is cancelled, its protocol hears of the connection and its end, or of
// nothing, and nothing is left.
TEST_P(TlsOpening, CanBeCancelledAtAnyTime) {
  const Server server = listen_tls();
  bool finished = false;
  for (int iterations = 0; !finished; ++iterations) {
    Recorder& client = new_client();
    auto opening = start_client(client, port_of(server));
    for (int i = 0; i < iterations && !opening.done(); ++i) loop().run_once(second);
    finished = opening.done();
    opening.cancel();
    if (finished) client.transport.abort();
    run_until([&] { return !client.made() || client.lost(); });
    settle_loop();
    EXPECT_TRUE(client.calls.empty() ||
                client.calls == calls("connection_made", "connection_lost"));
    EXPECT_EQ(client.protocols_alive, finished ? 1 : 0);  // the future's
    EXPECT_FALSE(client.reason);
  }
  run_until([&] {
    return std::ranges::all_of(accepted,
                               [](const Recorder& end) { return end.protocols_alive == 0; });
  });
}

// V10, V12: close_clients() closes TLS in order: what was written arrives, and then the end.
TEST_P(TlsOpening, ServersCloseTheirClientsInOrder) {
  const Server server = listen_tls();
  const auto [client, right] = connect_tls(port_of(server));
  right.transport.write("last words");
  bool clean = false;
  client.on("eof_received", [&, &client = client] { clean = ended_cleanly(client); });
  server.close_clients();
  run_until([&, &client = client, &right = right] { return client.lost() && right.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "data_received:last words", "eof_received",
                                "connection_lost"));
  EXPECT_TRUE(clean);
  EXPECT_TRUE(server.is_serving());
}

// V10, T7: and ends those whose handshake is not done; so does abort_clients().
TEST_P(TlsOpening, ServersEndHandshakes) {
  const Server server = listen_tls();
  for (const bool aborts : {false, true}) {
    Recorder& stranger = new_client("stranger");
    run_until_done(start_connecting(stranger, "127.0.0.1", port_of(server)));
    const std::size_t count =
        accepted.size() + (accepted.empty() || accepted.back().lost() ? 0 : 0);
    run_until([&] { return !accepted.empty() && accepted.size() >= count; });
    aborts ? server.abort_clients() : server.close_clients();
    run_until([&] { return stranger.lost(); });
    EXPECT_EQ(accepted.back().calls, Calls());
  }
}

// V11, V12: a server waits for its TLS connections, those in a handshake included.
TEST_P(TlsOpening, ServersWaitForTheirConnections) {
  Server server = listen_tls();
  const auto [client, right] = connect_tls(port_of(server));
  Recorder& stranger = new_client("stranger");
  run_until_done(start_connecting(stranger, "127.0.0.1", port_of(server)));
  run_until([&] { return accepted.size() == 2; });
  server.close();
  const Future<void> closed = server.wait_closed();
  settle_loop();
  EXPECT_FALSE(closed.done());
  client.transport.close();
  run_until([&, &client = client, &right = right] { return client.lost() && right.lost(); });
  settle_loop();
  EXPECT_FALSE(closed.done());
  stranger.transport.close();
  run_until_done(closed);
}

// N8: racing addresses, and TLS over the one that won.
TEST_P(TlsOpening, RunsOverTheConnectionThatWonARace) {
  const Server server = listen_tls();
  Recorder& client = new_client();
  run_until_done(create_connection(loop(), factory_of(client), "localhost", port_of(server),
                                   tls_client({.happy_eyeballs_delay = second})));
  EXPECT_TRUE(client.made());
}

// L6: a loop that is closed during a handshake, or during an orderly end, drops everything.
TEST_P(TlsOpening, CanBeDroppedWithTheLoop) {
  const Server server = listen_tls();
  const auto [client, right] = connect_tls(port_of(server));
  client.transport.close();
  Recorder& second_client = new_client();
  auto opening = start_client(second_client, port_of(server));
  loop().run_once();
  loop().run_once();
  loop().close();
  EXPECT_EQ(client.protocols_alive, 0);
  EXPECT_EQ(right.protocols_alive, 0);
}

// N9: the protocol that goes with an opening that fails may cancel what opens no more, and which has its error.
TEST_P(TlsOpening, MayBeCancelledByWhatGoesWithIt) {
  struct Cancelling : Protocol {
    explicit Cancelling(std::function<void()> its_cancel) : cancel(std::move(its_cancel)) {}
    ~Cancelling() override { cancel(); }
    std::function<void()> cancel;
  };
  accepted.clear();
  const Server server = listen();  // which does not speak TLS
  Future<Connection<Cancelling>> opening;
  opening = create_connection(
      loop(), [&] { return std::make_unique<Cancelling>([&] { opening.cancel(); }); }, "127.0.0.1",
      port_of(server), tls_client());
  run_until([&] { return !accepted.empty() && accepted.back().made(); });
  accepted.back().transport.write("not what a server of TLS says");
  run_until([&] { return opening.done() && accepted.back().lost(); });
  EXPECT_FALSE(opening.cancelled());
  EXPECT_NE(opening.exception(), nullptr);
}

// B1, B3, T6: whoever has gone by the time of the server's last flight was never connected.
TEST(TlsServer, DoesNotBeginForAPeerThatHasGone) {
  struct Served : Protocol {
    explicit Served(Calls& its_calls) : calls(its_calls) {}
    void connection_made(Transport) override { calls.emplace_back("connection_made"); }
    void connection_lost(const CloseReason&) override { calls.emplace_back("connection_lost"); }
    Calls& calls;
  };
  struct Leaving : Protocol {
    void connection_made(Transport made) override { made.abort(); }
  };
  EventLoop server_loop;
  EventLoop client_loop;
  Calls told;
  const std::string path = new_socket_path();
  // With tickets: they are that flight.
  const TlsContext context = TlsContext::server({.identity = authority().server().identity()});
  server_loop.run_until_complete(create_unix_server(
      server_loop, [&] { return std::make_unique<Served>(told); }, path, {.tls = context}));
  const auto connected = create_unix_connection<Leaving>(
      client_loop, path, {.tls = client_context(), .server_hostname = "localhost"});
  for (int turn = 0; turn < 100; ++turn) {
    server_loop.run_once();
    // It has finished and gone before the server has its next turn.
    for (int its = 0; its < 10; ++its) client_loop.run_once();
  }
  EXPECT_EQ(outcome(connected), "result");
  EXPECT_EQ(told, calls());
}

}  // namespace weir::test
