// start_tls(): T23 to T27.

#include <gtest/gtest.h>
#include <weir/sendfile.h>
#include <weir/weir.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "every_stream.h"
#include "loop_support.h"
#include "tls_support.h"

namespace weir::test {
namespace {

/// Over every stream, TLS included.
class StartTls : public EveryStream {
 protected:
  Future<Transport> start(Recorder& end, const TlsContext& context, StartTlsOptions options = {}) {
    if (!context.is_server() && !options.server_hostname) options.server_hostname = "localhost";
    return start_tls(loop(), end.transport, end.protocol(), context, options);
  }
  /// Upgrades both ends, whose recorders then have the new transports.
  void upgrade(const Pair& pair) {
    auto server = start(pair.right, server_context());
    auto client = start(pair.left, client_context());
    pair.left.adopted = pair.right.adopted = true;  // by new protocols
    pair.left.transport = run_until_done(client);
    pair.right.transport = run_until_done(server);
  }
  Pair upgraded_pair() {
    const Pair pair = connected_pair();
    upgrade(pair);
    return pair;
  }
};

class SimulatedStartTls : public SimulatedTls {};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, StartTls, ::testing::ValuesIn(stream_makers()), maker_name);

// T23: the same protocol goes on, by a new transport, and is not told of the connection again.
TEST_P(StartTls, GoesOnWithANewTransport) {
  const Pair pair = connected_pair();
  pair.left.transport.write("in the clear");
  run_until([&] { return pair.right.received == "in the clear"; });
  upgrade(pair);
  EXPECT_NE(pair.left.transport.get_extra_info<TlsCipher>("cipher"), std::nullopt);
  pair.left.transport.write("not any more");
  pair.right.transport.write("indeed");
  run_until(
      [&] { return pair.right.received.ends_with("more") && pair.left.received == "indeed"; });
  pair.left.transport.close();
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.left.calls,
            calls("connection_made", "data_received:indeed", "eof_received", "connection_lost"));
  EXPECT_EQ(pair.right.calls, calls("connection_made", "data_received:in the clearnot any more",
                                    "eof_received", "connection_lost"));
}

// T23, T25: that the old transport takes nothing holds to its end, so that who waits hears of that.
TEST_P(StartTls, IsNotTakenFromATransportThatCloses) {
  for (const bool aborts : {false, true}) {
    const Pair pair = connected_pair();
    pair.right.transport.pause_reading();
    const auto started = start(pair.left, client_context());
    const Transport old = pair.left.transport;
    aborts ? old.abort() : old.close();
    EXPECT_THROW(old.set_protocol(pair.left.protocol()), WrongStateError);
    EXPECT_THROW(old.write("in the clear"), WrongStateError);
    pair.right.transport.resume_reading();
    run_until([&] { return started.done() && pair.left.lost(); });
    EXPECT_NE(started.exception(), nullptr);
    EXPECT_EQ(pair.left.count("connection_made"), 1U);
  }
}

// T23, T26: the old transport names nothing any more, so that nothing can be sent in the clear.
TEST_P(StartTls, LeavesNothingOfTheOldTransport) {
  const Pair pair = connected_pair();
  const Transport old = pair.left.transport;
  upgrade(pair);
  EXPECT_TRUE(old.is_closing());
  old.write("in the clear");
  old.abort();
  settle();
  EXPECT_EQ(pair.right.calls, calls("connection_made"));
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
}

// T21, T23: nor can it be in the meantime: the connection can be ended, and asked for what is known of it,
// but nobody else writes, ends the stream, takes it over again, or has it tell another protocol.
TEST_P(StartTls, HasTheConnectionToItself) {
  const Pair pair = connected_pair();
  const Transport old = pair.left.transport;
  auto client = start(pair.left, client_context());
  EXPECT_THROW(old.write("in the clear"), WrongStateError);
  EXPECT_THROW(old.write(Buffer(std::string("in the clear"))), WrongStateError);
  EXPECT_THROW(old.writelines({as_bytes("in the clear")}), WrongStateError);
  EXPECT_THROW(old.set_protocol(pair.left.protocol()), WrongStateError);
  EXPECT_THROW(old.write_eof(), std::logic_error);  // which TLS never can
  EXPECT_EQ(what(start(pair.left, client_context()).exception()),
            "unable to start TLS; start_tls is in progress");
  EXPECT_EQ(what(sendfile(loop(), old, 0).exception()),
            "unable to send a file; start_tls is in progress");
  EXPECT_FALSE(old.is_closing());
  EXPECT_NE(old.get_extra_info<Address>("sockname"), std::nullopt);

  auto server = start(pair.right, server_context());
  pair.left.adopted = pair.right.adopted = true;
  pair.left.transport = run_until_done(client);
  pair.right.transport = run_until_done(server);
  pair.left.transport.write("hello");
  run_until([&] { return pair.right.received == "hello"; });
}

// T24: what is sent right behind the handshake arrives, though reading was paused before it.
TEST_P(StartTls, ResumesReading) {
  const Pair pair = connected_pair();
  pair.right.transport.pause_reading();
  upgrade(pair);
  EXPECT_TRUE(pair.right.transport.is_reading());
  const std::string sent = pattern(1 * MiB);
  pair.left.transport.write(sent);
  run_until([&] { return pair.right.received.size() == sent.size(); });
  EXPECT_TRUE(pair.right.received == sent);
}

// T26: whoever waits for start_tls() goes on before the first data is told.
TEST_P(StartTls, TellsOfTheTransportBeforeTheData) {
  const Pair pair = connected_pair();
  Calls order;
  auto server = start(pair.right, server_context());
  auto client = start(pair.left, client_context());
  pair.left.adopted = pair.right.adopted = true;
  server.add_done_callback([&](const auto& done) {
    order.emplace_back("started");
    pair.right.transport = done.result();
  });
  pair.right.once("data_received", [&] { order.emplace_back("data"); });
  client.add_done_callback([&](const auto& done) {
    pair.left.transport = done.result();
    pair.left.transport.write("x");
  });
  run_until([&] { return order.size() == 2; });
  EXPECT_EQ(order, calls("started", "data"));
}

// F7, B14: a protocol that the old transport has paused is resumed by the new one.
TEST_P(StartTls, ResumesAPausedProtocol) {
  const Pair pair = connected_pair();
  pair.right.transport.pause_reading();
  while (pair.left.count("pause_writing") == 0)
    pair.left.transport.write(std::string(64 * KiB, 'x'));
  auto client = start(pair.left, client_context());
  pair.left.adopted = true;
  // The server takes what is in the clear, then it starts.
  const std::size_t clear = pair.left.transport.get_write_buffer_size();
  EXPECT_GT(clear, 0U);
  pair.right.transport.resume_reading();
  client.cancel();
  run_until([&] { return pair.left.lost(); });
}

// T25: a handshake that fails closes the connection; the protocol hears of it once, with the reason.
TEST_P(StartTls, TellsTheProtocolWhenItFails) {
  const Pair pair = connected_pair();
  pair.left.adopted = true;
  auto failed = start(pair.left, TlsContext::client());
  auto server = start(pair.right, server_context());
  pair.right.adopted = true;
  run_until(
      [&] { return failed.done() && server.done() && pair.left.lost() && pair.right.lost(); });
  EXPECT_THROW(failed.result(), CertificateError);
  EXPECT_NE(server.exception(), nullptr);
  EXPECT_EQ(pair.left.calls.size(), 2U);
  EXPECT_THROW(std::rethrow_exception(pair.left.reason.exception()), CertificateError);
  EXPECT_EQ(pair.right.calls.size(), 2U);
  EXPECT_TRUE(pair.right.reason);
}

// T25, T6: also when the peer goes away.
TEST_P(StartTls, FailsWhenThePeerGoesAway) {
  const Pair pair = connected_pair();
  pair.left.adopted = true;
  auto failed = start(pair.left, client_context());
  pair.right.once("data_received", [&] { pair.right.transport.close(); });
  run_until([&] { return failed.done() && pair.left.lost(); });
  EXPECT_EQ(outcome(failed), "Connection reset by peer");
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost:disconnected"));
}

// T25: a cancelled one closes the connection, too, for no reason.
TEST_P(StartTls, TellsTheProtocolWhenItIsCancelled) {
  const Pair pair = connected_pair();
  pair.left.adopted = true;
  auto cancelled = start(pair.left, client_context());
  run_until([&] { return pair.right.count("data_received") == 1; });
  cancelled.cancel();
  EXPECT_TRUE(pair.left.transport.is_closing());
  run_until([&] { return pair.left.lost(); });
  EXPECT_TRUE(cancelled.cancelled());
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// T7: closing the old transport during the handshake ends that.
TEST_P(StartTls, EndsWithTheOldTransport) {
  const Pair pair = connected_pair();
  pair.left.adopted = true;
  auto failed = start(pair.left, client_context());
  pair.left.transport.abort();
  run_until([&] { return failed.done() && pair.left.lost(); });
  EXPECT_EQ(outcome(failed), "Software caused connection abort");
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// B5, T25: the exception handler hears last of what a user ended the handshake with: nothing is left to be changed.
TEST_P(StartTls, ReportsWhatAUserEndedItWithLast) {
  const Pair pair = connected_pair();
  pair.left.adopted = true;
  auto failed = start(pair.left, client_context());
  loop().set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    EXPECT_NE(context.protocol, nullptr);
    EXPECT_TRUE(failed.done());
    pair.left.calls.push_back("reported:" + context.message);
  });
  pair.left.transport.abort(std::make_exception_ptr(TestError()));
  run_until([&] { return failed.done() && pair.left.lost(); });
  EXPECT_THROW(failed.result(), TestError);
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost:test error",
                                   "reported:SSL handshake failed"));
}

// T25, T4: one that takes too long.
TEST_F(SimulatedStartTls, FailsWhenItTakesTooLong) {
  const Server server = listen();
  Recorder& client = EndpointTest::connect(port_of(server));
  client.adopted = true;
  auto failed = start_tls(loop(), client.transport, client.protocol(), client_context(),
                          {.server_hostname = "localhost"});
  run_until([&] { return failed.done() && client.lost(); });
  EXPECT_EQ(outcome(failed), "Software caused connection abort");
  EXPECT_EQ(client.calls, calls("connection_made", "connection_lost:disconnected"));
}

// T23: what does not fit is refused, and leaves the connection as it is.
TEST_P(StartTls, RefusesWhatDoesNotFit) {
  const Pair pair = connected_pair();
  const auto refusal = [&](AnyProtocol protocol, const TlsContext& context,
                           StartTlsOptions options) {
    auto refused = start_tls(loop(), pair.left.transport, std::move(protocol), context, options);
    return what(refused.exception());
  };
  struct Silent : Protocol {};
  const auto silent = std::make_shared<Silent>();
  EXPECT_EQ(refusal({}, client_context(), {.server_hostname = ""}),
            "start_tls() needs a Protocol or a BufferedProtocol");
  EXPECT_EQ(
      refusal(silent, client_context(), {}),
      "start_tls: without a host, TLS needs a server_hostname: whom the certificate must be of, or "
      "empty for no check");
  EXPECT_EQ(refusal(silent, server_context(), {.server_hostname = "localhost"}),
            "start_tls: server_hostname is for clients, and the context is a server's");
  EXPECT_EQ(refusal(silent, server_context(), {.tls_handshake_timeout = std::chrono::seconds(0)}),
            "start_tls: tls_handshake_timeout must be positive");
  pair.left.transport.write("still here");
  run_until([&] { return pair.right.received == "still here"; });
  pair.left.transport.close();
  EXPECT_EQ(refusal(silent, client_context(), {.server_hostname = ""}),
            "start_tls() on a transport that is closing");
}

// T23, I1: a pipe has one direction only.
TEST_F(SimulatedStartTls, RefusesPipes) {
  const SimulatedPipe pipe = simulated_pipe(loop());
  Recorder& reader = new_client("reader");
  const auto connection =
      run_until_done(connect_read_pipe(loop(), factory_of(reader), pipe.read_end));
  auto refused = start_tls(loop(), connection.transport, connection.protocol, server_context());
  EXPECT_EQ(what(refused.exception()),
            "start_tls() needs both directions, and this transport is of a pipe");
}

// V10: a server closes a connection that was upgraded in order.
TEST_F(SimulatedStartTls, IsClosedInOrderByItsServer) {
  const Server server = listen();
  Recorder& client = EndpointTest::connect(port_of(server));
  Recorder& right = accepted.back();
  auto as_server = start_tls(loop(), right.transport, right.protocol(), server_context());
  auto as_client = start_tls(loop(), client.transport, client.protocol(), client_context(),
                             {.server_hostname = "localhost"});
  client.adopted = right.adopted = true;
  client.transport = run_until_done(as_client);
  right.transport = run_until_done(as_server);
  bool clean = false;
  client.on("eof_received", [&] { clean = ended_cleanly(client); });
  server.close_clients();
  run_until([&] { return client.lost() && right.lost(); });
  EXPECT_TRUE(clean);
}

// V10, V12: TLS in TLS, too.
TEST_F(SimulatedStartTls, IsClosedInOrderByItsServerTwice) {
  const Server server = listen_tls();
  const auto [client, right] = connect_tls(port_of(server));
  auto as_server = start_tls(loop(), right.transport, right.protocol(), server_context());
  auto as_client = start_tls(loop(), client.transport, client.protocol(), client_context(),
                             {.server_hostname = "localhost"});
  client.adopted = right.adopted = true;
  client.transport = run_until_done(as_client);
  right.transport = run_until_done(as_server);
  const std::string sent = pattern(8 * MiB);
  right.transport.write(sent);
  bool clean = false;
  client.on("eof_received", [&, &client = client] { clean = ended_cleanly(client); });
  server.close_clients();
  run_until([&, &client = client, &right = right] { return client.lost() && right.lost(); });
  EXPECT_TRUE(client.received == sent);
  EXPECT_TRUE(clean);
}

}  // namespace weir::test
