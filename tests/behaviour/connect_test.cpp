#include <netdb.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "endpoint_support.h"

// create_connection(): N1-N9, N13, B3, B4, B8, B11.
namespace weir::test {
namespace {

class Connecting : public EveryEndpoint {
 protected:
  static std::string text_of(const std::exception_ptr& error) { return what(error); }
  static std::error_code code_of(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::system_error& failure) {
      return failure.code();
    } catch (...) {
      return {};
    }
  }
};

// N1: create_connection() gives the transport, and the protocol its factory made.
TEST_P(Connecting, GivesTheTransportAndTheProtocol) {
  const Server server = listen();
  Recorder& client = new_client();
  const Connection<RecordingProtocol> connection =
      run_until_done(start_connecting(client, "127.0.0.1", port_of(server)));
  EXPECT_EQ(connection.transport, client.transport);
  EXPECT_EQ(connection.transport.get_protocol(), connection.protocol);
  EXPECT_EQ(client.calls, calls("connection_made"));
}

// B1, B8: connection_made(), then the completion, then data that had already arrived.
TEST_P(Connecting, CompletesBetweenConnectionMadeAndTheFirstData) {
  const Server server = run_until_done(create_server(
      loop(),
      [this] {
        Recorder& recorder = accepted.emplace_back(loop(), ProtocolKind::stream, "accepted");
        recorder.on("connection_made", [&recorder] { recorder.transport.write("early"); });
        return std::make_shared<RecordingProtocol>(recorder);
      },
      "127.0.0.1", 0));
  for (int round = 0; round < 20; ++round) {
    Recorder& client = new_client();
    auto future = start_connecting(client, "127.0.0.1", port_of(server));
    EXPECT_FALSE(future.done());
    EXPECT_EQ(client.calls, Calls());
    future.add_done_callback([&](const auto&) { client.calls.emplace_back("completed"); });
    run_until([&] { return client.received == "early"; });
    EXPECT_EQ(client.calls, calls("connection_made", "completed", "data_received:early"));
  }
}

// N4: the factory is called once, and only when there is a connection.
TEST_P(Connecting, CallsTheFactoryOnceConnected) {
  Server server = listen();
  const std::uint16_t port = port_of(server);
  int made = 0;
  const auto factory = [&] { return ++made, std::make_shared<Protocol>(); };
  run_until_done(create_connection(loop(), factory, "127.0.0.1", port));
  EXPECT_EQ(made, 1);
  server.close();
  EXPECT_EQ(outcome_of(create_connection(loop(), factory, "127.0.0.1", port)),
            std::make_error_code(std::errc::connection_refused).message());
  EXPECT_EQ(made, 1);
}

// N5, N13, B3: a refused connection is the system's error with the address in its text; the
// protocol hears nothing.
TEST_P(Connecting, FailsWithTheErrorAndTheAddress) {
  const Server server = listen();
  const std::uint16_t port = port_of(server);
  server.close();
  Recorder& client = new_client();
  auto future = start_connecting(client, "127.0.0.1", port);
  run_until([&] { return future.done(); });
  EXPECT_EQ(code_of(future.exception()), std::errc::connection_refused);
  EXPECT_NE(text_of(future.exception()).find("127.0.0.1:" + std::to_string(port)),
            std::string::npos)
      << text_of(future.exception());
  EXPECT_EQ(client.calls, Calls());
}

// N5: with all_errors it is a group, even of one.
TEST_P(Connecting, GroupsItsErrorsWhenAsked) {
  const Server server = listen();
  const std::uint16_t port = port_of(server);
  server.close();
  auto future = start_connecting(new_client(), "127.0.0.1", port, {.all_errors = true});
  run_until([&] { return future.done(); });
  try {
    future.result();
    ADD_FAILURE() << "connected";
  } catch (const AggregateError& error) {
    ASSERT_EQ(error.errors().size(), 1U);
    EXPECT_EQ(error.errors()[0].code(), std::errc::connection_refused);
    EXPECT_EQ(error.code(), std::errc::connection_refused);
  }
}

// N2, C4: neither an address nor a socket is misuse, told through the future.
TEST_P(Connecting, NeedsAnAddressOrASocket) {
  EXPECT_EQ(outcome_of(create_connection<Protocol>(loop(), ConnectOptions())), "invalid_argument");
}

// N2: an address and a socket are misuse; the socket stays the caller's.
TEST_P(Connecting, TakesNoAddressTogetherWithASocket) {
  const SocketPair pair;
  EXPECT_EQ(outcome_of(create_connection<Protocol>(loop(), "127.0.0.1", 1, {.sock = pair.a()})),
            "invalid_argument");
  pair.send_to_a("still here");
  EXPECT_EQ(receive(pair.a()), "still here");
}

// N1: hosts may be names; an empty one is the loopback address.
TEST_P(Connecting, TakesNames) {
  const Server server = listen();
  for (const char* host : {"localhost", ""}) {
    Recorder& client = connect(port_of(server), host);
    EXPECT_EQ(client.transport.get_extra_info<Address>("peername"),
              Address::parse("127.0.0.1", port_of(server)))
        << '"' << host << '"';
  }
}

// N1: IPv6 addresses are taken as IPv4 ones are.
TEST_P(Connecting, ConnectsOverIpv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const Server server = listen("::1");
  Recorder& client = connect(port_of(server), "::1");
  EXPECT_EQ(client.transport.get_extra_info<Address>("peername"),
            Address::parse("::1", port_of(server)));
  EXPECT_EQ(accepted.at(0).transport.get_extra_info<Address>("sockname"),
            Address::parse("::1", port_of(server)));
  client.transport.write("six");
  run_until([&] { return accepted.at(0).received == "six"; });
}

// L37: a host that does not exist is an error of the resolver.
TEST_P(Connecting, FailsWithTheResolversError) {
  auto future = create_connection<Protocol>(loop(), "not-a-number", 1, {.flags = AI_NUMERICHOST});
  run_until([&] { return future.done(); });
  EXPECT_EQ(code_of(future.exception()), std::error_code(EAI_NONAME, resolver_category()));
  EXPECT_NE(text_of(future.exception()).find("not-a-number"), std::string::npos);
}

// N1: an address that is not of the family asked for is an error of the resolver, too.
TEST_P(Connecting, KeepsToTheFamily) {
  const Server server = listen();
  auto future = create_connection<Protocol>(loop(), "127.0.0.1", port_of(server),
                                            {.family = AddressFamily::ipv6});
  run_until([&] { return future.done(); });
  EXPECT_EQ(code_of(future.exception()).category(), resolver_category());
  run_until_done(create_connection<Protocol>(loop(), "localhost", port_of(server),
                                             {.family = AddressFamily::ipv4}));
}

// N6: local_addr is bound before connecting.
TEST_P(Connecting, BindsToTheLocalAddress) {
  const Server server = listen();
  std::uint16_t free_port = 0;
  {
    const Server other = listen();
    free_port = port_of(other);
    other.close();
  }
  Recorder& client = new_client();
  run_until_done(
      start_connecting(client, "127.0.0.1", port_of(server),
                       {.local_addr = LocalAddress{.host = "127.0.0.1", .port = free_port}}));
  EXPECT_EQ(client.transport.get_extra_info<Address>("sockname"),
            Address::parse("127.0.0.1", free_port));
  run_until([&] { return accepted.size() == 1 && accepted[0].made(); });
  EXPECT_EQ(accepted[0].transport.get_extra_info<Address>("peername"),
            Address::parse("127.0.0.1", free_port));
}

// N6: a local address that is taken is an error with that address in its text.
TEST_P(Connecting, FailsWhenTheLocalAddressIsTaken) {
  const Server server = listen();
  const Server other = listen();
  auto future =
      start_connecting(new_client(), "127.0.0.1", port_of(server),
                       {.local_addr = LocalAddress{.host = "127.0.0.1", .port = port_of(other)}});
  run_until([&] { return future.done(); });
  EXPECT_EQ(code_of(future.exception()), std::errc::address_in_use);
  EXPECT_NE(text_of(future.exception()).find("127.0.0.1:" + std::to_string(port_of(other))),
            std::string::npos)
      << text_of(future.exception());
}

// N6: a local address of another family than the remote one is an OS error.
TEST_P(Connecting, FailsWhenTheLocalAddressIsOfAnotherFamily) {
  const Server server = listen();
  auto future = start_connecting(new_client(), "127.0.0.1", port_of(server),
                                 {.local_addr = LocalAddress{.host = "::1"}});
  run_until([&] { return future.done(); });
  EXPECT_NE(code_of(future.exception()), std::error_code());
}

// N6: a local host that does not exist is an error of the resolver.
TEST_P(Connecting, FailsWhenTheLocalHostIsUnknown) {
  auto future = start_connecting(
      new_client(), "127.0.0.1", 1,
      {.flags = AI_NUMERICHOST, .local_addr = LocalAddress{.host = "not-a-number"}});
  run_until([&] { return future.done(); });
  EXPECT_EQ(code_of(future.exception()), std::error_code(EAI_NONAME, resolver_category()));
}

// B11: what the factory throws fails the creation, and the connection is closed.
TEST_P(Connecting, FailsWithWhatTheFactoryThrows) {
  const Server server = listen();
  const auto throwing = [&]() -> std::shared_ptr<Protocol> { throw TestError(); };
  EXPECT_EQ(outcome_of(create_connection(loop(), throwing, "127.0.0.1", port_of(server))),
            "test error");
  run_until([&] { return accepted.size() == 1 && accepted[0].lost(); });
  EXPECT_EQ(accepted[0].calls, calls("connection_made", "eof_received", "connection_lost"));
}

// B11: a factory that returns no protocol is misuse.
TEST_P(Connecting, FailsWhenTheFactoryMakesNothing) {
  const Server server = listen();
  const auto nothing = [] { return std::shared_ptr<Protocol>(); };
  EXPECT_EQ(outcome_of(create_connection(loop(), nothing, "127.0.0.1", port_of(server))),
            "invalid_argument");
  run_until([&] { return accepted.size() == 1 && accepted[0].lost(); });
}

// N9: dropping the future does not cancel.
TEST_P(Connecting, GoesOnWhenTheFutureIsDropped) {
  const Server server = listen();
  Recorder& client = new_client();
  (void)start_connecting(client, "127.0.0.1", port_of(server));
  run_until([&] { return client.made() && accepted.size() == 1 && accepted[0].made(); });
  client.transport.write("hello");
  run_until([&] { return accepted[0].received == "hello"; });
}

// N9, B4: cancelling at any stage closes what was opened; the protocol hears both of
// connection_made() and connection_lost(), or neither.
TEST_P(Connecting, MayBeCancelledAtAnyStage) {
  const Server server = listen();
  int cancelled_before_made = 0;
  int cancelled = 0;
  for (int stage = 0; stage < 12; ++stage) {
    Recorder& client = new_client();
    const std::size_t before = open_descriptors();
    auto future = start_connecting(client, "localhost", port_of(server));
    for (int i = 0; i < stage && !future.done(); ++i) loop().run_once(std::chrono::hours(1));
    const bool was_done = future.done();
    EXPECT_EQ(future.cancel(), !was_done);
    if (was_done) {
      client.transport.abort();
      run_until([&] { return client.lost(); });
      continue;
    }
    EXPECT_EQ(outcome_of(future), "cancelled");
    ++cancelled;
    cancelled_before_made += client.made() ? 0 : 1;
    iterate(3);
    EXPECT_EQ(client.made(), client.lost()) << "cancelled after " << stage << " iterations";
    EXPECT_EQ(client.calls, client.made() ? calls("connection_made", "connection_lost") : Calls());
    run_until([&] {
      for (Recorder& peer : accepted) peer.transport.abort();
      return open_descriptors() <= before;
    });
  }
  EXPECT_GE(cancelled_before_made, 1);
  EXPECT_GE(cancelled, 2);
}

// B4: cancelling from inside connection_made(): connection_lost() follows, without an error.
TEST_P(Connecting, MayBeCancelledInConnectionMade) {
  const Server server = listen();
  Recorder& client = new_client();
  auto future = start_connecting(client, "127.0.0.1", port_of(server));
  client.on("connection_made", [&] { EXPECT_TRUE(future.cancel()); });
  run_until([&] { return client.lost(); });
  EXPECT_TRUE(future.cancelled());
  EXPECT_EQ(client.calls, calls("connection_made", "connection_lost"));
}

// N9: a factory may cancel what it is called for; no callback follows.
TEST_P(Connecting, MayBeCancelledInTheFactory) {
  const Server server = listen();
  Recorder& client = new_client();
  Future<Connection<RecordingProtocol>> future;
  const auto factory = [&] {
    future.cancel();
    return std::make_shared<RecordingProtocol>(client);
  };
  future = create_connection(loop(), factory, "127.0.0.1", port_of(server));
  EXPECT_EQ(outcome_of(future), "cancelled");
  run_until([&] { return accepted.size() == 1 && accepted[0].lost(); });
  EXPECT_EQ(client.calls, Calls());
  future = {};
}

// N9, L6: closing the loop while connections are opened drops them; nothing is called or leaked.
TEST_P(Connecting, IsDroppedWhenTheLoopCloses) {
  const Server server = listen();
  std::vector<Future<Connection<RecordingProtocol>>> futures;
  Recorder& client = new_client();
  for (int i = 0; i < 4; ++i) {
    futures.push_back(start_connecting(client, "localhost", port_of(server)));
  }
  loop().close();
  for (const auto& future : futures) EXPECT_EQ(outcome(future), "pending");
  EXPECT_EQ(client.calls, Calls());
  futures[0].cancel();
}

// N1: many connections are opened at the same time.
TEST_P(Connecting, OpensManyAtOnce) {
  const Server server = listen();
  std::vector<Future<Connection<RecordingProtocol>>> futures;
  constexpr std::size_t count = 100;
  std::vector<Recorder*> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(&new_client());
    futures.push_back(start_connecting(*clients.back(), "127.0.0.1", port_of(server)));
  }
  for (const auto& future : futures) EXPECT_EQ(outcome_of(future), "result");
  for (std::size_t i = 0; i < count; ++i) clients[i]->transport.write(std::to_string(i));
  for (Recorder* client : clients) client->transport.close();
  run_until([&] {
    return accepted.size() == count &&
           std::ranges::all_of(accepted, [](const Recorder& peer) { return peer.lost(); });
  });
  std::vector<std::string> received;
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < count; ++i) {
    sent.push_back(std::to_string(i));
    received.push_back(accepted[i].received);
  }
  std::ranges::sort(sent);
  std::ranges::sort(received);
  EXPECT_EQ(received, sent);
}

// B11: every way to return a protocol is taken: by shared or unique pointer, or as an object.
TEST_P(Connecting, TakesProtocolsOfAnyShape) {
  struct Plain {
    std::string* received;
    void data_received(std::span<const std::byte> data) { *received += as_text(data); }
  };
  const Server server = listen();
  std::string received;
  auto object = run_until_done(create_connection(
      loop(), [&] { return Plain{&received}; }, "127.0.0.1", port_of(server)));
  auto unique = run_until_done(create_connection(
      loop(), [] { return std::make_unique<Protocol>(); }, "127.0.0.1", port_of(server)));
  run_until([&] { return accepted.size() == 2 && accepted[0].made() && accepted[1].made(); });
  EXPECT_EQ(object.protocol->received, &received);
  accepted[0].transport.write("to the object");
  run_until([&] { return received == "to the object"; });
  EXPECT_EQ(unique.transport.get_protocol(), unique.protocol);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Connecting, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
