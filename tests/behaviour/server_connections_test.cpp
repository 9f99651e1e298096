#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "endpoint_support.h"

// A server and its connections: V7, V8, V10-V13, B11.
namespace weir::test {
namespace {

const std::string refused = std::make_error_code(std::errc::connection_refused).message();

class ServerConnections : public EveryEndpoint {
 protected:
  /// Both kinds of end a future can have while it is looked at only now and then.
  std::string after_a_while(const Future<void>& future) {
    iterate(5);
    return outcome(future);
  }
};

// V8: the factory is called once for each connection; peername is the address of the client.
TEST_P(ServerConnections, HaveAProtocolEach) {
  const Server server = listen();
  for (std::size_t i = 0; i < 3; ++i) {
    const Recorder& client = connect(port_of(server));
    ASSERT_EQ(accepted.size(), i + 1);
    EXPECT_EQ(accepted[i].transport.get_extra_info<Address>("peername"),
              client.transport.get_extra_info<Address>("sockname"));
    EXPECT_EQ(accepted[i].transport.get_extra_info<Address>("sockname"),
              server.sockets()[0].sockname);
  }
}

// B11: a factory that throws costs its connection only; serving goes on, and nothing is reported.
TEST_P(ServerConnections, EndWhenTheFactoryThrows) {
  int made = 0;
  const Server server = run_until_done(create_server(
      loop(),
      [&] {
        if (++made == 1) throw TestError();
        return accepting_factory()();
      },
      "127.0.0.1", 0));
  Recorder& first = new_client();
  run_until_done(start_connecting(first, "127.0.0.1", port_of(server)));
  run_until([&] { return first.lost(); });
  connect(port_of(server)).transport.write("second");
  run_until([&] { return accepted.at(0).received == "second"; });
  EXPECT_EQ(take_reports(), Calls());
}

// B11: in debug mode it is reported.
TEST_P(ServerConnections, AreReportedInDebugModeWhenTheFactoryThrows) {
  loop().set_debug(true);
  const Server server = run_until_done(create_server(
      loop(), []() -> std::shared_ptr<Protocol> { throw TestError(); }, "127.0.0.1", 0));
  Recorder& client = new_client();
  run_until_done(start_connecting(client, "127.0.0.1", port_of(server)));
  run_until([&] { return client.lost(); });
  EXPECT_EQ(take_reports(),
            calls("Error on transport creation for incoming connection [test error]"));
  take_logs();  // slow callbacks, on a slow machine
}

// B11: a factory that returns no protocol is as one that throws.
TEST_P(ServerConnections, EndWhenTheFactoryMakesNothing) {
  const Server server = run_until_done(create_server(
      loop(), [] { return std::shared_ptr<Protocol>(); }, "127.0.0.1", 0));
  Recorder& client = new_client();
  run_until_done(start_connecting(client, "127.0.0.1", port_of(server)));
  run_until([&] { return client.lost(); });
  EXPECT_TRUE(server.is_serving());
}

// V9: a factory may close the server it is called for; its connection goes on.
TEST_P(ServerConnections, MayCloseTheServerInTheFactory) {
  std::optional<Server> server;
  server = run_until_done(create_server(
      loop(),
      [&] {
        server->close();
        return accepting_factory()();
      },
      "127.0.0.1", 0));
  const std::uint16_t port = port_of(*server);
  auto closed = server->wait_closed();
  connect(port).transport.write("hello");
  run_until([&] { return accepted.at(0).received == "hello"; });
  EXPECT_EQ(after_a_while(closed), "pending");
  accepted[0].transport.close();
  run_until_done(closed);
}

// V9: existing connections outlive the server's close().
TEST_P(ServerConnections, OutliveTheServer) {
  const Server server = listen();
  Recorder& client = connect(port_of(server));
  server.close();
  client.transport.write("hello");
  run_until([&] { return accepted[0].received == "hello"; });
  accepted[0].transport.write("answer");
  run_until([&] { return client.received == "answer"; });
  EXPECT_FALSE(accepted[0].transport.is_closing());
}

// V10: close_clients() closes each connection that is still open, sending what was written; the
// server goes on.
TEST_P(ServerConnections, AreClosedTogether) {
  const Server server = listen();
  std::vector<Recorder*> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(&connect(port_of(server)));
  accepted[1].transport.abort();
  run_until([&] { return accepted[1].lost(); });
  const std::string much = pattern(2 * MiB);
  accepted[0].transport.write(much);
  accepted[2].transport.write("bye");
  server.close_clients();
  EXPECT_TRUE(accepted[0].transport.is_closing());
  EXPECT_TRUE(accepted[2].transport.is_closing());
  run_until([&] { return clients[0]->lost() && clients[2]->lost(); });
  EXPECT_TRUE(clients[0]->received == much);
  EXPECT_EQ(clients[2]->received, "bye");
  EXPECT_TRUE(server.is_serving());
  connect(port_of(server));
  EXPECT_FALSE(accepted[3].transport.is_closing());
}

// V10: abort_clients() drops what was written.
TEST_P(ServerConnections, AreAbortedTogether) {
  const Server server = listen();
  Recorder& client = connect(port_of(server));
  Recorder& other = connect(port_of(server));
  client.transport.pause_reading();
  accepted[0].transport.set_write_buffer_limits({.high = 1U << 30U});
  accepted[0].transport.write(pattern(16 * MiB));
  EXPECT_GT(accepted[0].transport.get_write_buffer_size(), 0U);
  server.abort_clients();
  EXPECT_EQ(accepted[0].transport.get_write_buffer_size(), 0U);
  run_until([&] { return accepted[0].lost() && accepted[1].lost() && other.lost(); });
  EXPECT_EQ(accepted[0].calls, calls("connection_made", "connection_lost"));
  EXPECT_EQ(accepted[1].calls, calls("connection_made", "connection_lost"));
  EXPECT_TRUE(server.is_serving());
}

// V10: both concern this server's connections only, and may be called when there are none.
TEST_P(ServerConnections, AreThoseOfTheServer) {
  const Server server = listen();
  const Server other = listen();
  other.abort_clients();
  connect(port_of(server));
  other.close_clients();
  other.abort_clients();
  iterate(3);
  EXPECT_FALSE(accepted[0].transport.is_closing());
}

// V10: connections may be aborted from inside the callback of one of them.
TEST_P(ServerConnections, MayAbortEachOther) {
  const Server server = listen();
  std::vector<Recorder*> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(&connect(port_of(server)));
  for (Recorder& each : accepted) {
    each.on("data_received", [&] { server.abort_clients(); });
    each.on("connection_lost", [&] { server.close_clients(); });
  }
  clients[1]->transport.write("x");
  run_until([&] { return accepted[0].lost() && accepted[1].lost() && accepted[2].lost(); });
}

// V11: wait_closed() waits for close() and for the last connection, in this order.
TEST_P(ServerConnections, AreWaitedForAfterClose) {
  const Server server = listen();
  connect(port_of(server));
  connect(port_of(server));
  server.close();
  const auto closed = server.wait_closed();
  EXPECT_EQ(after_a_while(closed), "pending");
  accepted[0].transport.close();
  run_until([&] { return accepted[0].lost(); });
  EXPECT_EQ(after_a_while(closed), "pending");
  accepted[1].transport.close();
  EXPECT_EQ(outcome_of(closed), "result");
  EXPECT_TRUE(accepted[1].lost());
}

// V11: and in the other order: it waits when the server is not closed yet.
TEST_P(ServerConnections, AreWaitedForBeforeClose) {
  const Server server = listen();
  const auto closed = server.wait_closed();
  connect(port_of(server));
  accepted[0].transport.close();
  run_until([&] { return accepted[0].lost(); });
  EXPECT_EQ(after_a_while(closed), "pending");
  server.close();
  EXPECT_EQ(outcome_of(closed), "result");
}

// V11: it is done at once when both have happened; many may wait, and one may stop waiting.
TEST_P(ServerConnections, MayBeWaitedForByMany) {
  const Server server = listen();
  connect(port_of(server));
  std::vector<Future<void>> waiters;
  Calls order;
  for (int i = 0; i < 5; ++i) {
    waiters.push_back(server.wait_closed());
    waiters.back().add_done_callback([&order, i](const Future<void>& done) {
      order.push_back(std::to_string(i) + ' ' + outcome(done));
    });
  }
  EXPECT_TRUE(waiters[2].cancel());
  server.close();
  EXPECT_EQ(after_a_while(waiters[0]), "pending");
  accepted[0].transport.abort();
  run_until([&] { return order.size() == 5; });
  EXPECT_EQ(order, calls("2 cancelled", "0 result", "1 result", "3 result", "4 result"));
  const auto late = server.wait_closed();
  EXPECT_TRUE(late.done());
  EXPECT_EQ(outcome(late), "result");
}

// V12: a connection is gone when its connection_lost() has returned, not before.
TEST_P(ServerConnections, AreGoneAfterConnectionLost) {
  const Server server = listen();
  connect(port_of(server));
  server.close();
  const auto closed = server.wait_closed();
  accepted[0].on("connection_lost", [&] { EXPECT_FALSE(closed.done()); });
  accepted[0].transport.close();
  EXPECT_EQ(outcome_of(closed), "result");
  EXPECT_TRUE(accepted[0].lost());
}

// V12, B10: the same when connection_lost() throws.
TEST_P(ServerConnections, AreGoneWhenConnectionLostThrows) {
  const Server server = listen();
  connect(port_of(server));
  accepted[0].on("connection_lost", [] { throw TestError(); });
  server.close();
  accepted[0].transport.close();
  EXPECT_EQ(outcome_of(server.wait_closed()), "result");
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
}

// V13, V5: serve_forever() begins to listen, and ends as cancelled when the server is closed.
TEST_P(ServerConnections, AreServedUntilTheServerIsClosed) {
  const Server server = listen("127.0.0.1", 0, {.start_serving = false});
  const auto serving = server.serve_forever();
  EXPECT_TRUE(server.is_serving());
  connect(port_of(server));
  EXPECT_EQ(after_a_while(serving), "pending");
  server.close();
  accepted[0].transport.close();
  EXPECT_EQ(outcome_of(serving), "cancelled");
  EXPECT_THROW(serving.result(), CancelledError);
}

// V13: cancelling it closes the server and its connections, waits for them, and then ends.
TEST_P(ServerConnections, AreClosedWhenServingIsCancelled) {
  const Server server = listen();
  Recorder& client = connect(port_of(server));
  const std::uint16_t port = port_of(server);
  const auto serving = server.serve_forever();
  iterate(2);
  accepted[0].on("connection_lost", [&] { EXPECT_FALSE(serving.done()); });
  EXPECT_TRUE(serving.cancel());
  EXPECT_FALSE(server.is_serving());
  EXPECT_TRUE(accepted[0].transport.is_closing());
  EXPECT_EQ(outcome_of(serving), "cancelled");
  EXPECT_TRUE(accepted[0].lost());
  EXPECT_EQ(outcome_of(server.wait_closed()), "result");
  run_until([&] { return client.lost(); });
  EXPECT_EQ(try_to_connect(port), refused);
}

// V13: cancelling it without connections ends it at once.
TEST_P(ServerConnections, NeedNotBeThereWhenServingIsCancelled) {
  const Server server = listen();
  const auto serving = server.serve_forever();
  EXPECT_TRUE(serving.cancel());
  EXPECT_FALSE(server.is_serving());
  EXPECT_EQ(outcome_of(serving), "cancelled");
}

// V13: a second serve_forever() is a wrong-state error, and the first goes on.
TEST_P(ServerConnections, AreServedOnce) {
  const Server server = listen();
  const auto first = server.serve_forever();
  EXPECT_EQ(outcome_of(server.serve_forever()), "WrongStateError");
  EXPECT_EQ(after_a_while(first), "pending");
  EXPECT_TRUE(server.is_serving());
  EXPECT_TRUE(first.cancel());
  EXPECT_EQ(outcome_of(first), "cancelled");
}

// V13: run_until_complete() of serve_forever() is how a server's program ends.
TEST_P(ServerConnections, AreServedByAProgram) {
  const Server server = listen();
  loop().call_soon([&] { server.close(); });
  EXPECT_THROW(loop().run_until_complete(server.serve_forever()), CancelledError);
}

// L6: closing the loop drops the connections without a callback.
TEST_P(ServerConnections, AreDroppedWithTheLoop) {
  const Server server = listen();
  Recorder& client = connect(port_of(server));
  client.transport.write("never read");
  loop().close();
  EXPECT_EQ(client.calls, calls("connection_made"));
  EXPECT_EQ(accepted[0].calls, calls("connection_made"));
  EXPECT_TRUE(client.transport.is_closing());
  client.transport.write("x");
  client.transport.close();
  client.transport.abort();
}

INSTANTIATE_TEST_SUITE_P(Behaviour, ServerConnections, ::testing::ValuesIn(backends()),
                         backend_name);

}  // namespace
}  // namespace weir::test
