#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "endpoint_support.h"

// create_server() and what it binds to: V1-V6, V9, V16.
namespace weir::test {
namespace {

const std::string refused = std::make_error_code(std::errc::connection_refused).message();
const std::string address_in_use = std::make_error_code(std::errc::address_in_use).message();

class Serving : public EveryEndpoint {};

// V1, V5: when create_server() is done, the server listens.
TEST_P(Serving, ListensOnceCreated) {
  auto future = start_listening("127.0.0.1", 0);
  EXPECT_FALSE(future.done());
  const Server server = run_until_done(std::move(future));
  EXPECT_TRUE(server.is_serving());
  EXPECT_EQ(server.get_loop(), &loop());
  ASSERT_EQ(server.sockets().size(), 1U);
  EXPECT_EQ(server.sockets()[0].sockname.host(), "127.0.0.1");
  EXPECT_NE(server.sockets()[0].sockname.port(), 0);
  connect(port_of(server));
  EXPECT_EQ(accepted.at(0).calls, calls("connection_made"));
}

// V2, C4: neither hosts nor a socket is misuse, told through the future.
TEST_P(Serving, NeedsHostsOrASocket) {
  EXPECT_EQ(outcome_of(create_server(loop(), accepting_factory(), ServerOptions())),
            "invalid_argument");
}

// V3: each host of a list gets a socket, duplicates are bound once.
TEST_P(Serving, BindsToEachHostOnce) {
  std::uint16_t port = 0;
  {
    const Server probe = listen();
    port = port_of(probe);
    probe.close();
  }
  const Server server = listen({"127.0.0.1", "127.0.0.2", "127.0.0.1"}, port);
  std::vector<std::string> hosts;
  for (const SocketView& view : server.sockets()) hosts.push_back(view.sockname.to_string());
  const std::string suffix = ":" + std::to_string(port);
  EXPECT_EQ(hosts, calls("127.0.0.1" + suffix, "127.0.0.2" + suffix));
  connect(port, "127.0.0.2");
  connect(port, "127.0.0.1");
  EXPECT_EQ(accepted.size(), 2U);
}

// V3: no host, and an empty one, is all interfaces; IPv6 sockets are for IPv6 only.
TEST_P(Serving, BindsToAllInterfaces) {
  for (const Hosts& hosts : {Hosts(), Hosts("")}) {
    const Server server = listen(hosts);
    for (const SocketView& view : server.sockets()) {
      const bool six = view.sockname.family() == AddressFamily::ipv6;
      EXPECT_EQ(view.sockname.host(), six ? "::" : "0.0.0.0");
      connect(view.sockname.port(), six ? "::1" : "127.0.0.1");
    }
    EXPECT_EQ(server.sockets().size(), has_ipv6() ? 2U : 1U);
    server.close();
  }
}

// V3: the wildcard addresses of both families share a port, for IPv6 sockets are v6-only.
TEST_P(Serving, BindsBothFamiliesToOnePort) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const Server six = listen("::");
  const Server four = listen("0.0.0.0", port_of(six));
  connect(port_of(six), "::1");
  connect(port_of(four), "127.0.0.1");
  EXPECT_EQ(accepted.at(0).transport.get_extra_info<Address>("peername")->family(),
            AddressFamily::ipv6);
  EXPECT_EQ(accepted.at(1).transport.get_extra_info<Address>("peername")->family(),
            AddressFamily::ipv4);
}

// V3: with a family, only its addresses are bound.
TEST_P(Serving, KeepsToTheFamily) {
  const Server server = listen(Hosts(), 0, {.family = AddressFamily::ipv4});
  ASSERT_EQ(server.sockets().size(), 1U);
  EXPECT_EQ(server.sockets()[0].sockname.host(), "0.0.0.0");
}

// V3: an address that is taken fails with the address in the text, and closes what was bound.
TEST_P(Serving, FailsWhenAnAddressIsTaken) {
  const Server server = listen();
  const std::size_t before = open_descriptors();
  const std::uint16_t port = port_of(server);
  auto future = start_listening({"127.0.0.2", "127.0.0.1"}, port);
  EXPECT_EQ(outcome_of(future), address_in_use);
  EXPECT_NE(what(future.exception()).find("127.0.0.1:" + std::to_string(port)), std::string::npos)
      << what(future.exception());
  EXPECT_EQ(open_descriptors(), before);
  const Server free = listen("127.0.0.2", port);
}

// V3: an address this machine does not have is skipped; if none is left that is the error.
TEST_P(Serving, SkipsAddressesThatAreNotHere) {
  const Server server = listen({"192.0.2.1", "127.0.0.1"});
  ASSERT_EQ(server.sockets().size(), 1U);
  EXPECT_EQ(server.sockets()[0].sockname.host(), "127.0.0.1");
  auto future = start_listening("192.0.2.1", 0);
  EXPECT_EQ(outcome_of(future), std::make_error_code(std::errc::address_not_available).message());
  EXPECT_NE(what(future.exception()).find("192.0.2.1"), std::string::npos);
}

// V3, L37: a host that does not exist is an error of the resolver, whatever the others are.
TEST_P(Serving, FailsWithTheResolversError) {
  auto future = start_listening({"127.0.0.1", std::string(2000, 'x')}, 0);
  run_until([&] { return future.done(); });
  try {
    future.result();
    ADD_FAILURE() << "listening";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().category(), resolver_category());
  }
}

// V4: reuse_port lets several servers share a port, if all of them ask for it.
TEST_P(Serving, SharesAPortWhenAsked) {
  const Server first = listen("127.0.0.1", 0, {.reuse_port = true});
  const Server second = listen("127.0.0.1", port_of(first), {.reuse_port = true});
  EXPECT_EQ(port_of(first), port_of(second));
  EXPECT_EQ(outcome_of(start_listening("127.0.0.1", port_of(first))), address_in_use);
  for (int i = 0; i < 8; ++i) connect(port_of(first));
  EXPECT_EQ(accepted.size(), 8U);
}

// V5: without start_serving it is bound, but does not listen until start_serving(), which may be
// repeated.
TEST_P(Serving, ListensLaterWhenAsked) {
  const Server server = listen("127.0.0.1", 0, {.start_serving = false});
  EXPECT_FALSE(server.is_serving());
  EXPECT_EQ(server.sockets().size(), 1U);
  EXPECT_EQ(try_to_connect(port_of(server)), refused);
  EXPECT_EQ(outcome_of(start_listening("127.0.0.1", port_of(server), {.reuse_address = false})),
            address_in_use);
  run_until_done(server.start_serving());
  EXPECT_TRUE(server.is_serving());
  run_until_done(server.start_serving());
  connect(port_of(server));
  EXPECT_EQ(accepted.size(), 1U);
}

// V5: a closed server does not start again.
TEST_P(Serving, DoesNotStartOnceClosed) {
  const Server server = listen("127.0.0.1", 0, {.start_serving = false});
  server.close();
  EXPECT_EQ(outcome_of(server.start_serving()), "WrongStateError");
  EXPECT_EQ(outcome_of(server.serve_forever()), "WrongStateError");
  EXPECT_FALSE(server.is_serving());
}

// V6: a backlog of 0 accepts connections.
TEST_P(Serving, AcceptsWithABacklogOfZero) {
  const Server server = listen("127.0.0.1", 0, {.backlog = 0});
  for (int i = 0; i < 3; ++i) connect(port_of(server));
  EXPECT_EQ(accepted.size(), 3U);
}

// V9: close() stops listening and closes the sockets at once, and may be repeated.
TEST_P(Serving, StopsListeningAtOnce) {
  const Server server = listen();
  const std::uint16_t port = port_of(server);
  const int descriptor = server.sockets()[0].descriptor;
  server.close();
  EXPECT_FALSE(server.is_serving());
  EXPECT_TRUE(server.sockets().empty());
  EXPECT_TRUE(descriptor < 0 || !is_open(descriptor));
  server.close();
  EXPECT_EQ(try_to_connect(port), refused);
  const Server next = listen("127.0.0.1", port);
  connect(port);
}

// V9, B11: connections that wait when the server is closed are dropped with it.
TEST_P(Serving, DropsWaitingConnectionsWhenClosed) {
  const Server server = listen();
  Recorder& client = new_client();
  auto future = start_connecting(client, "127.0.0.1", port_of(server));
  server.close();
  run_until([&] { return future.done(); });
  if (outcome(future) == "result") run_until([&] { return client.lost(); });
  EXPECT_EQ(accepted.size(), 0U);
}

// V16: a server nobody holds keeps serving.
TEST_P(Serving, GoesOnWhenNobodyHoldsIt) {
  const std::uint16_t port = port_of(listen());
  iterate(3);
  connect(port).transport.write("hello");
  run_until([&] { return accepted.at(0).received == "hello"; });
}

// V16: copies name the same server; one that names nothing is closed.
TEST_P(Serving, IsSharedByItsCopies) {
  const Server server = listen();
  const Server copy = server;
  copy.close();
  EXPECT_FALSE(server.is_serving());
  const Server nothing;
  EXPECT_FALSE(nothing.is_serving());
  EXPECT_TRUE(nothing.sockets().empty());
  EXPECT_EQ(nothing.get_loop(), nullptr);
  nothing.close();
  nothing.close_clients();
  nothing.abort_clients();
  EXPECT_THROW(nothing.start_serving(), WrongStateError);
  EXPECT_THROW(nothing.serve_forever(), WrongStateError);
  EXPECT_THROW(nothing.wait_closed(), WrongStateError);
}

// V16: get_loop() works after close().
TEST_P(Serving, KnowsItsLoopAfterClose) {
  const Server server = listen();
  server.close();
  EXPECT_EQ(server.get_loop(), &loop());
}

// V16, L6: a server handle is safe once the loop is closed, and once it is gone.
TEST_P(Serving, MayOutliveItsLoop) {
  const Server server = listen();
  const Server with_clients = listen();
  connect(port_of(with_clients));
  auto waiting = with_clients.wait_closed();
  auto serving = server.serve_forever();
  loop().close();
  for (const Server& each : {server, with_clients}) {
    EXPECT_FALSE(each.is_serving());
    EXPECT_TRUE(each.sockets().empty());
    each.close_clients();
    each.abort_clients();
    each.close();
    EXPECT_EQ(outcome(each.start_serving()), "WrongStateError");
  }
  EXPECT_EQ(outcome(waiting), "pending");
  EXPECT_EQ(outcome(serving), "pending");
  waiting = {};
  serving = {};
  destroy_loop();
  for (const Server& each : {server, with_clients}) {
    EXPECT_FALSE(each.is_serving());
    EXPECT_TRUE(each.sockets().empty());
    EXPECT_EQ(each.get_loop(), nullptr);
    each.close_clients();
    each.close();
    EXPECT_THROW(each.wait_closed(), WrongStateError);
    EXPECT_THROW(each.serve_forever(), WrongStateError);
    EXPECT_THROW(each.start_serving(), WrongStateError);
  }
}

// N9: cancelling create_server() at any stage leaves nothing behind.
TEST_P(Serving, MayBeCancelledWhileBeingCreated) {
  const std::size_t before = open_descriptors();
  for (int stage = 0; stage < 5; ++stage) {
    auto future = start_listening({"localhost", "127.0.0.1"}, 0);
    for (int i = 0; i < stage && !future.done(); ++i) loop().run_once(std::chrono::hours(1));
    if (future.done()) {
      future.result().close();
    } else {
      EXPECT_TRUE(future.cancel());
      EXPECT_EQ(outcome_of(future), "cancelled");
    }
    iterate(2);
    EXPECT_LE(settled_descriptors(before), before);
  }
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Serving, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
