// Chapter 6: create_datagram_endpoint(), D18 to D21, and what every opener does, B8, B11, N9.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "every_datagram.h"
#include "loop_support.h"

namespace weir::test {
namespace {

using Texts = std::vector<std::string>;

/// How opening failed, whole: "invalid_argument: create_datagram_endpoint() takes ...".
template <class T>
std::string failure_of(const Future<T>& future) {
  const std::string kind = outcome(future);
  if (kind == "pending" || kind == "result" || kind == "cancelled") return kind;
  return kind + ": " + what(future.exception());
}

/// Any object with the right member will do.
struct Counting {
  void datagram_received(std::span<const std::byte>, const Address&) { ++count; }
  int count = 0;
};

struct Derived : DatagramProtocol {
  explicit Derived(int a_number = 0) : number(a_number) {}
  int number;
};

class DatagramEndpoint : public DatagramTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_datagrams({.backend = GetParam(), .kind = DatagramKind::udp4}); }

  auto start(DatagramOptions options) {
    return create_datagram_endpoint(loop(), new_recorder().factory(), std::move(options));
  }
  std::string failure(DatagramOptions options) {
    const auto future = start(std::move(options));
    run_until([&] { return future.done(); });
    return failure_of(future);
  }
  DatagramOptions at(const Address& address) const {
    return {.local_addr = LocalAddress{address.host(), address.port()}};
  }
};

INSTANTIATE_TEST_SUITE_P(Behaviour, DatagramEndpoint, ::testing::ValuesIn(backends()),
                         backend_name);

}  // namespace

// --- What it gives ----------------------------------------------------------------------------------

// B1, B8, D1: connection_made(), then the future, then the first datagram; none from inside the call.
TEST_P(EveryDatagram, CompletesBetweenConnectionMadeAndTheFirstDatagram) {
  DatagramRecorder& left = open(maker().bound());
  DatagramRecorder& right = new_recorder();
  const auto future = create_datagram_endpoint(loop(), right.factory(), maker().bound());
  future.add_done_callback([&](const auto&) { right.calls.emplace_back("done"); });
  right.on("connection_made", [&] {
    EXPECT_FALSE(future.done());
    left.transport.sendto("early", right.address());
  });
  EXPECT_EQ(right.calls, Calls());
  wait_for(right, 1);
  EXPECT_EQ(right.calls, calls("connection_made", "done", "datagram_received:early"));
  EXPECT_EQ(future.result().transport, right.transport);
}

// D18: the protocol comes in every form that streams take.
TEST_P(EveryDatagram, TakesProtocolsInEveryForm) {
  const DatagramOptions options = maker().bound();
  const auto take = [&](auto factory) {
    const auto made =
        run_until_done(create_datagram_endpoint(loop(), std::move(factory), maker().bound()));
    EXPECT_FALSE(made.transport.is_closing());
    EXPECT_NE(made.protocol, nullptr);
    made.transport.abort();
    return made.protocol;
  };
  EXPECT_EQ(take([] { return std::make_shared<Derived>(1); })->number, 1);
  EXPECT_EQ(take([] { return std::make_unique<Derived>(2); })->number, 2);
  EXPECT_EQ(take([] { return Derived(3); })->number, 3);
  EXPECT_EQ(take([] { return std::make_shared<Counting>(); })->count, 0);
  const std::shared_ptr<DatagramProtocol> adapted = take([] { return adapt(Counting()); });
  const auto made = run_until_done(create_datagram_endpoint<Counting>(loop(), options));
  DatagramRecorder& other = open(maker().bound());
  other.transport.sendto("x", *made.transport.get_extra_info<Address>("sockname"));
  run_until([&] { return made.protocol->count == 1; });
  made.transport.abort();
  iterate(3);
}

// B11: a factory that throws, or makes nothing, fails the future; the socket is closed.
TEST_P(EveryDatagram, FailsWithWhatTheFactoryThrows) {
  const auto throwing = create_datagram_endpoint(
      loop(), []() -> std::shared_ptr<DatagramProtocol> { throw TestError(); }, maker().bound());
  run_until([&] { return throwing.done(); });
  EXPECT_EQ(outcome(throwing), "test error");
  const auto empty = create_datagram_endpoint(
      loop(), [] { return std::shared_ptr<Derived>(); }, maker().bound());
  run_until([&] { return empty.done(); });
  EXPECT_EQ(outcome(empty), "invalid_argument");
}

// D18: a socket that is connected, but not bound, asks and gets its answer.
TEST_P(EveryDatagram, NeedsNoLocalAddressToAsk) {
  if (maker().is_unix()) return;  // nobody can answer one without a name
  DatagramRecorder& right = open(maker().bound());
  right.on("datagram_received", [&] { right.transport.sendto("answer", right.senders.back()); });
  DatagramRecorder& left = open(maker().connected_to(right.address()));
  left.transport.sendto("question");
  wait_for(left, 1);
  EXPECT_EQ(left.senders.at(0), right.address());
}

// D18: without any address, of a family.
TEST_P(EveryDatagram, OpensWithoutAnyAddress) {
  DatagramRecorder& right = open(maker().bound());
  DatagramRecorder& left = open({.family = maker().family()});
  left.transport.sendto("hello", right.address());
  wait_for(right, 1);
  left.transport.sendto("");
  EXPECT_EQ(left.errors.at(0), std::errc::destination_address_required);
}

// N9, B4: cancelled at any stage it leaves nothing open, and calls both callbacks or neither.
TEST_P(EveryDatagram, LeavesNothingWhenCancelled) {
  bool made = false;
  for (int stage = 0; !made; ++stage) {
    ASSERT_LT(stage, 20);
    DatagramRecorder& recorder = new_recorder();
    const std::size_t before = open_descriptors();
    const auto future = create_datagram_endpoint(loop(), recorder.factory(), maker().bound());
    iterate(stage);
    made = future.done();
    if (made) break;
    EXPECT_TRUE(future.cancel());
    if (recorder.protocols_alive == 0) {
      EXPECT_EQ(open_descriptors(), before) << "stage " << stage;
    }
    iterate(3);
    EXPECT_EQ(outcome(future), "cancelled");
    EXPECT_EQ(recorder.made(), recorder.lost()) << "stage " << stage;
    EXPECT_EQ(open_descriptors(), before) << "stage " << stage;
  }
}

// L7: on a closed loop the future fails.
TEST_P(DatagramEndpoint, FailsOnAClosedLoop) {
  loop().close();
  const auto future = start(maker().bound());
  EXPECT_EQ(outcome(future), "WrongStateError");
}

// --- Addresses --------------------------------------------------------------------------------------

// D19: names are resolved.
TEST_P(DatagramEndpoint, ResolvesNames) {
  DatagramRecorder& right =
      open({.local_addr = LocalAddress{"localhost", 0}, .family = AddressFamily::ipv4});
  EXPECT_EQ(right.address().host(), "127.0.0.1");
  DatagramRecorder& left = open({.remote_addr = LocalAddress{"localhost", right.address().port()},
                                 .family = AddressFamily::ipv4});
  left.transport.sendto("hello");
  wait_for(right, 1);
  const std::string text = failure({.local_addr = LocalAddress{"host name that cannot be", 0}});
  EXPECT_NE(text.find("host name that cannot be"), std::string::npos) << text;
}

// D19: only pairs of one family are tried.
TEST_P(DatagramEndpoint, NeedsAFamilyInCommon) {
  EXPECT_EQ(
      failure({.local_addr = LocalAddress{"127.0.0.1", 0}, .remote_addr = LocalAddress{"::1", 9}}),
      "invalid_argument: can not get address information: local_addr and remote_addr have no "
      "family in common");
}

// D19: what failed first is told, with the address and the step.
TEST_P(DatagramEndpoint, TellsWhichStepFailed) {
  const Address taken = open(maker().bound()).address();
  EXPECT_EQ(failure(at(taken)),
            "Address already in use: bind to " + taken.to_string() + ": Address already in use");
  const std::string path = new_socket_path();
  EXPECT_EQ(failure({.remote_path = path}),
            "No such file or directory: connect to " + path + ": No such file or directory");
}

// D20: with reuse_port several sockets share a port.
TEST_P(DatagramEndpoint, SharesAPortIfAsked) {
  DatagramOptions options = maker().bound();
  options.reuse_port = true;
  const Address address = open(options).address();
  options = at(address);
  options.reuse_port = true;
  EXPECT_EQ(open(options).address(), address);
}

// D20, D6: with allow_broadcast the socket is not connected; remote_addr is where datagrams go.
TEST_P(DatagramEndpoint, IsNotConnectedIfItMayBroadcast) {
  DatagramRecorder& right = open(maker().bound());
  DatagramRecorder& other = open(maker().bound());
  DatagramOptions options = maker().bound(right.address());
  options.allow_broadcast = true;
  DatagramRecorder& left = open(options);
  EXPECT_EQ(left.transport.get_extra_info<Address>("peername"), std::nullopt);
  left.transport.sendto("a");
  left.transport.sendto("b", right.address());
  EXPECT_THROW(left.transport.sendto("c", other.address()), std::invalid_argument);
  wait_for(right, 2);
  EXPECT_EQ(right.received, (Texts{"a", "b"}));
  other.transport.sendto("from anybody", left.address());
  wait_for(left, 1);
}

// D20: a broadcast reaches who asked for it; without the option it is an error.
TEST_P(DatagramEndpoint, BroadcastsOnlyIfAsked) {
  DatagramRecorder& timid = open(maker().bound());
  timid.transport.sendto("x", *Address::parse("255.255.255.255", 9));
  ASSERT_EQ(timid.errors.size(), 1U);
  EXPECT_EQ(timid.errors[0], std::errc::permission_denied);
}

// D20: members of a group get what is sent to it.
TEST_P(DatagramEndpoint, ReachesAGroup) {
  const Address loopback = *Address::parse("127.0.0.1", 0);
  DatagramRecorder& member = open({.local_addr = LocalAddress{"0.0.0.0", 0}});
  const Address group = *Address::parse("239.255.77.77", member.address().port());
  member.transport.join_group(group, loopback);
  DatagramRecorder& sender = open(maker().bound());
  sender.transport.set_multicast_interface(loopback);
  sender.transport.set_multicast_loop(true);
  sender.transport.set_multicast_ttl(1);
  sender.transport.set_ttl(5);
  sender.transport.sendto("hello", group);
  wait_for(member, 1);
  member.transport.leave_group(group, loopback);
  sender.transport.sendto("nobody", group);
  settle();
  EXPECT_EQ(member.received, Texts{"hello"});
}

// The typed options say what the system refused.
TEST_P(DatagramEndpoint, ThrowsWhatTheSystemRefuses) {
  const DatagramTransport transport = open(maker().bound()).transport;
  const Address no_group = *Address::parse("127.0.0.1", 0);
  const auto text_of = [](auto call) -> std::string {
    try {
      call();
    } catch (const std::system_error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(text_of([&] { transport.join_group(no_group); }),
            "join the group 127.0.0.1: Invalid argument");
  EXPECT_EQ(text_of([&] { transport.set_ttl(1000); }), "set the ttl to 1000: Invalid argument");
  EXPECT_EQ(text_of([&] { transport.set_multicast_ttl(-5); }),
            "set the multicast ttl to -5: Invalid argument");
  EXPECT_FALSE(transport.is_closing());
}

// --- Misuse -----------------------------------------------------------------------------------------

// D18: what does not go together, and what is missing.
TEST_P(DatagramEndpoint, RefusesOptionsThatDoNotGoTogether) {
  const LocalAddress host{"127.0.0.1", 0};
  const std::string call = "invalid_argument: create_datagram_endpoint() ";
  EXPECT_EQ(failure({}),
            call + "needs an address, or options.family to know what to open without one");
  EXPECT_EQ(failure({.local_addr = host, .local_path = "/x"}),
            call + "takes hosts and ports, or paths, not both");
  EXPECT_EQ(failure({.local_addr = host, .family = AddressFamily::unix_socket}),
            call + "takes local_path and remote_path for Unix sockets, not hosts and ports");
  EXPECT_EQ(failure({.remote_path = "/x", .family = AddressFamily::ipv4}),
            call +
                "takes local_path and remote_path for Unix sockets only; options.family is "
                "another one");
  const std::string alone =
      call + "takes options.sock alone: it is what the other options would make";
  EXPECT_EQ(failure({.local_addr = host, .sock = 0}), alone);
  EXPECT_EQ(failure({.remote_addr = host, .sock = 0}), alone);
  EXPECT_EQ(failure({.local_path = "/x", .sock = 0}), alone);
  EXPECT_EQ(failure({.remote_path = "/x", .sock = 0}), alone);
  EXPECT_EQ(failure({.family = AddressFamily::ipv4, .sock = 0}), alone);
  EXPECT_EQ(failure({.protocol = 17, .sock = 0}), alone);
  EXPECT_EQ(failure({.flags = 1, .sock = 0}), alone);
  EXPECT_EQ(failure({.reuse_port = true, .sock = 0}), alone);
  EXPECT_EQ(failure({.allow_broadcast = true, .sock = 0}), alone);
}

}  // namespace weir::test
