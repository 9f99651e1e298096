#include <algorithm>
#include <deque>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "simulated_fixture.h"

namespace weir::test_backend {
namespace {

using detail::DatagramChannel;
using detail::DatagramEvents;
using detail::DatagramOpened;
using detail::DatagramPlan;
using detail::DatagramSendResult;
using detail::OutgoingDatagram;
using detail::ReceivedDatagram;
using Hops = DatagramChannel::Hops;

Address path(std::string name) { return Address::unix_socket(std::move(name)); }
Address group(std::uint16_t port) { return Address::ipv4({239, 1, 2, 3}, port); }

std::string error_name(std::error_code error) {
  if (error == std::errc::destination_address_required) return "no destination";
  if (error == std::errc::message_size) return "too long";
  if (error == std::errc::operation_not_permitted) return "not permitted";
  if (error == std::errc::permission_denied) return "denied";
  if (error == std::errc::no_such_file_or_directory) return "no such file";
  if (error == std::errc::address_family_not_supported) return "other family";
  if (error == std::errc::network_unreachable) return "unreachable";
  return name_of(error);
}

/// The user of a datagram channel: writes down its events, and queues what is to be sent.
class Peer final : public DatagramEvents {
 public:
  Peer(std::string name, Trace& trace, std::unique_ptr<DatagramChannel> taken)
      : channel(std::move(taken)), name_(std::move(name)), trace_(trace) {
    channel->attach(*this);
  }

  std::size_t on_datagrams(std::span<const ReceivedDatagram> datagrams) noexcept override {
    ++receive_events;
    std::size_t taken = 0;
    while (taken < datagrams.size() && taken < take_at_most) {
      const ReceivedDatagram& datagram = datagrams[taken++];
      senders.push_back(datagram.sender);
      note("received " + text_of(datagram.data));
      if (in_received) in_received();
    }
    return taken;
  }
  void on_receive_failed(std::error_code error) noexcept override {
    note("failed " + error_name(error));
  }
  std::size_t unsent(std::span<OutgoingDatagram> datagrams) noexcept override {
    const std::size_t count = std::min(datagrams.size(), queue.size());
    for (std::size_t i = 0; i < count; ++i) datagrams[i] = {bytes_of(queue[i]), destination()};
    return count;
  }
  void on_sent(std::size_t count, std::error_code error) noexcept override {
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
    note("sent " + std::to_string(count) + (error ? ", " + error_name(error) : ""));
    if (in_sent) in_sent();
  }
  void on_closed() noexcept override {
    note("closed");
    if (in_closed) in_closed();
  }

  /// Sends at once what goes, and the rest later.
  void send(std::string_view text) {
    const OutgoingDatagram datagram{bytes_of(text), destination()};
    const DatagramSendResult result = channel->try_send({&datagram, 1});
    if (result.error) return note("send: " + error_name(result.error));
    if (result.done == 1) return;
    queue.emplace_back(text);
    channel->start_sending();
  }
  void send(std::string_view text, const Address& address) {
    to = address;
    send(text);
  }

  std::unique_ptr<DatagramChannel> channel;
  Address to;  ///< empty: the peer
  std::deque<std::string> queue;
  std::vector<Address> senders;
  std::size_t take_at_most = 1000;
  int receive_events = 0;
  std::function<void()> in_received;
  std::function<void()> in_sent;
  std::function<void()> in_closed;

 private:
  const Address* destination() const { return to.empty() ? nullptr : &to; }
  void note(const std::string& what) { trace_.push_back(name_ + ": " + what); }

  std::string name_;
  Trace& trace_;
};

class SimulatedDatagrams : public SimulatedBackendTest {
 protected:
  explicit SimulatedDatagrams(const SimulationOptions& options = {})
      : SimulatedBackendTest(options) {}

  Peer open(std::string name, const DatagramPlan& plan) {
    DatagramOpened opened = backend->open_datagram(plan);
    EXPECT_FALSE(opened.error) << opened.error;
    return Peer(std::move(name), trace, std::move(opened.channel));
  }
  Peer open(std::string name, const Address& local, const Address& remote = {}) {
    const AddressFamily family = local.empty() ? remote.family() : local.family();
    return open(std::move(name), {.family = family, .local = local, .remote = remote});
  }
  std::pair<ConnectStep, std::error_code> open_error(const DatagramPlan& plan) {
    const DatagramOpened opened = backend->open_datagram(plan);
    EXPECT_EQ(opened.channel, nullptr);
    return {opened.step, opened.error};
  }
};

using Failure = std::pair<ConnectStep, std::error_code>;

Failure failure(ConnectStep step, std::errc error) {
  return {step, {static_cast<int>(error), std::system_category()}};
}

// --- Opening -------------------------------------------------------------------------------------

TEST_F(SimulatedDatagrams, HaveAddressesOfTheirOwn) {
  const auto listener = backend->bind(v4(53), {});
  Peer bound = open("bound", v4(53));  // ports of streams are others
  EXPECT_EQ(bound.channel->local_address(), v4(53));
  EXPECT_EQ(bound.channel->peer_address(), std::nullopt);
  EXPECT_EQ(bound.channel->descriptor(), -1);
  EXPECT_EQ(open_error({.family = AddressFamily::ipv4, .local = v4(53)}),
            failure(ConnectStep::bind, std::errc::address_in_use));

  Peer ephemeral = open("ephemeral", any_v4(0));
  EXPECT_EQ(ephemeral.channel->local_address(), any_v4(32768));
  Peer connected = open("connected", {}, v4(53));
  EXPECT_EQ(connected.channel->local_address(), v4(32769));
  EXPECT_EQ(connected.channel->peer_address(), v4(53));
  Peer both = open("both", any_v4(0), v4(53));
  EXPECT_EQ(both.channel->local_address(), v4(32770));

  Peer neither = open("neither", {.family = AddressFamily::ipv4});
  EXPECT_EQ(neither.channel->local_address(), any_v4(0));
  neither.send("x", v4(53));
  EXPECT_EQ(neither.channel->local_address(), any_v4(32771));
  Peer nameless = open("nameless", {.family = AddressFamily::unix_socket});
  EXPECT_EQ(nameless.channel->local_address(), path(""));
}

TEST_F(SimulatedDatagrams, SomeCannotBeOpened) {
  const Address far = Address::ipv4({192, 0, 2, 1}, 53);
  EXPECT_EQ(open_error({}), failure(ConnectStep::socket, std::errc::address_family_not_supported));
  EXPECT_EQ(open_error({.family = AddressFamily::ipv4, .local = v6(0)}),
            failure(ConnectStep::bind, std::errc::address_family_not_supported));
  EXPECT_EQ(open_error({.family = AddressFamily::ipv4, .local = far}),
            failure(ConnectStep::bind, std::errc::address_not_available));
  EXPECT_EQ(open_error({.family = AddressFamily::ipv4, .remote = far}),
            failure(ConnectStep::connect, std::errc::network_unreachable));
  EXPECT_EQ(open_error({.family = AddressFamily::ipv4, .remote = v6(53)}),
            failure(ConnectStep::connect, std::errc::address_family_not_supported));
  EXPECT_EQ(open_error({.family = AddressFamily::unix_socket, .remote = path("/x")}),
            failure(ConnectStep::connect, std::errc::no_such_file_or_directory));
  Accepting accepting;
  const auto listener = listen(path("/stream"), accepting);
  EXPECT_EQ(open_error({.family = AddressFamily::unix_socket, .remote = path("/stream")}),
            failure(ConnectStep::connect, std::errc::wrong_protocol_type));
  EXPECT_EQ(backend->adopt_datagram(0).error(), std::errc::operation_not_supported);
}

// --- Over the internet ---------------------------------------------------------------------------

TEST_F(SimulatedDatagrams, KeepTheirBoundariesAndOrderAndNameTheirSender) {
  Peer server = open("server", any_v4(53));
  Peer client = open("client", {}, v4(53));
  server.channel->start_receiving();
  client.channel->start_receiving();
  const TimePoint start = backend->now();
  for (const char* text : {"one", "", "three"}) client.send(text);
  EXPECT_EQ(events(), Trace());
  settle();
  EXPECT_EQ(events(),
            Trace({"server: received one", "server: received ", "server: received three"}));
  EXPECT_GE(backend->now(), start + microseconds(20));
  EXPECT_EQ(server.senders, std::vector(3, client.channel->local_address()));
  server.send("answer", server.senders[0]);
  settle();
  EXPECT_EQ(events(), Trace({"client: received answer"}));
  EXPECT_EQ(client.senders, std::vector({v4(53)}));
}

TEST_F(SimulatedDatagrams, WhatWasSentArrivesAlsoWhenItsSenderIsGone) {
  Peer server = open("server", v6(53));
  server.channel->start_receiving();
  {
    Peer client = open("client", {.family = AddressFamily::ipv6});
    client.send("last words", v6(53));
  }
  settle();
  EXPECT_EQ(events(), Trace({"server: received last words"}));
}

TEST_F(SimulatedDatagrams, AConnectedSocketHearsItsPeerOnly) {
  Peer server = open("server", v4(53));
  Peer client = open("client", v4(54), v4(53));
  Peer stranger = open("stranger", v4(55));
  client.channel->start_receiving();
  stranger.send("from the stranger", v4(54));
  server.send("from the server", v4(54));
  settle();
  EXPECT_EQ(events(), Trace({"client: received from the server"}));
}

TEST_F(SimulatedDatagrams, ASharedPortPrefersTheSocketThatIsConnectedToTheSender) {
  Peer sender = open("sender", v4(54));
  const DatagramPlan shared{.family = AddressFamily::ipv4, .local = v4(53), .reuse_port = true};
  Peer open_to_all = open("open", shared);
  DatagramPlan plan = shared;
  plan.remote = v4(54);
  Peer connected = open("connected", plan);
  open_to_all.channel->start_receiving();
  connected.channel->start_receiving();
  for (int round = 0; round < 5; ++round) sender.send("x", v4(53));
  settle();
  EXPECT_EQ(connected.senders.size(), 5U);
  EXPECT_TRUE(open_to_all.senders.empty());
}

TEST_F(SimulatedDatagrams, AConnectedSenderIsToldOfAPortThatNobodyHas) {
  Peer client = open("client", {}, v4(53));
  client.channel->start_receiving();
  client.send("one");
  settle();
  EXPECT_EQ(events(), Trace({"client: failed refused"}));
  client.channel->stop_receiving();
  client.send("two");
  settle();
  client.send("three");
  client.send("four");
  client.channel->start_receiving();
  EXPECT_EQ(events(), Trace({"client: send: refused"}));
  settle();
  EXPECT_EQ(events(), Trace({"client: failed refused"}));  // of "four": it goes on
}

TEST_F(SimulatedDatagrams, AnErrorIsToldOnce) {
  Peer client = open("client", {}, v4(53));
  client.channel->start_receiving();
  client.send("one");
  backend->wait(backend->now() + seconds(1));
  client.send("two");
  EXPECT_EQ(backend->dispatch(), 0U);
  EXPECT_EQ(events(), Trace({"client: send: refused"}));
}

TEST_F(SimulatedDatagrams, OthersAreNotTold) {
  Peer client = open("client", {.family = AddressFamily::ipv4});
  client.channel->start_receiving();
  client.send("x", v4(53));
  settle();
  client.send("y", v4(53));
  EXPECT_EQ(events(), Trace());
}

TEST_F(SimulatedDatagrams, SomeCannotBeSent) {
  Peer sender = open("sender", {.family = AddressFamily::ipv4});
  sender.send("x");
  sender.send("x", v6(53));
  sender.send("x", Address::ipv4({192, 0, 2, 1}, 53));
  sender.send(std::string(65'508, 'x'), v4(53));
  sender.send(std::string(65'507, 'x'), v4(53));
  EXPECT_EQ(events(), Trace({"sender: send: no destination", "sender: send: other family",
                             "sender: send: unreachable", "sender: send: too long"}));
  Peer v6_sender = open("v6", {.family = AddressFamily::ipv6});
  v6_sender.send(std::string(65'528, 'x'), v6(53));
  v6_sender.send(std::string(65'527, 'x'), v6(53));
  EXPECT_EQ(events(), Trace({"v6: send: too long"}));
}

TEST_F(SimulatedDatagrams, BroadcastsNeedPermission) {
  const Address broadcast = Address::ipv4({255, 255, 255, 255}, 53);
  Peer everywhere = open("everywhere", any_v4(53));
  Peer here = open("here", {.family = AddressFamily::ipv4, .local = v4(54)});
  everywhere.channel->start_receiving();
  here.channel->start_receiving();
  Peer plain = open("plain", {.family = AddressFamily::ipv4});
  plain.send("x", broadcast);
  EXPECT_EQ(events(), Trace({"plain: send: denied"}));
  EXPECT_EQ(open_error({.family = AddressFamily::ipv4, .remote = broadcast}),
            failure(ConnectStep::connect, std::errc::permission_denied));

  Peer allowed = open("allowed", {.family = AddressFamily::ipv4, .allow_broadcast = true});
  allowed.send("x", broadcast);
  allowed.send("y", broadcast.with_port(54));
  settle();
  EXPECT_EQ(events(), Trace({"everywhere: received x"}));
}

TEST_F(SimulatedDatagrams, MembersOfAGroupHearWhatIsSentToIt) {
  const DatagramPlan plan{.family = AddressFamily::ipv4, .local = any_v4(53), .reuse_port = true};
  Peer first = open("first", plan);
  Peer second = open("second", plan);
  Peer sender = open("sender", v4(0));
  first.channel->start_receiving();
  second.channel->start_receiving();
  const auto set = [&](Peer& peer, bool member) {
    return peer.channel->set_membership(group(0), {}, member);
  };
  EXPECT_FALSE(set(first, true));
  EXPECT_FALSE(set(second, true));
  sender.send("both", group(53));
  sender.send("none", group(54));
  settle();
  EXPECT_EQ(events(), Trace({"first: received both", "second: received both"}));

  EXPECT_EQ(set(second, true), std::errc::address_in_use);
  EXPECT_FALSE(set(second, false));
  EXPECT_EQ(set(second, false), std::errc::address_not_available);
  sender.send("first", group(53));
  settle();
  EXPECT_EQ(events(), Trace({"first: received first"}));
  EXPECT_FALSE(sender.channel->set_multicast_loop(false));
  sender.send("nobody", group(53));
  settle();
  EXPECT_EQ(events(), Trace());
}

TEST_F(SimulatedDatagrams, KnowWhatAGroupAndAnInterfaceAre) {
  Peer v4_peer = open("v4", {.family = AddressFamily::ipv4});
  DatagramChannel& channel = *v4_peer.channel;
  const Address far = Address::ipv4({192, 0, 2, 1}, 0);
  EXPECT_EQ(channel.set_membership(v4(0), {}, true), std::errc::invalid_argument);
  EXPECT_EQ(channel.set_membership(group(0), far, true), std::errc::no_such_device);
  EXPECT_FALSE(channel.set_membership(group(0), v4(0), true));
  EXPECT_FALSE(channel.set_multicast_interface(v4(0)));
  EXPECT_EQ(channel.set_multicast_interface(far), std::errc::address_not_available);
  EXPECT_FALSE(channel.set_hops(Hops::multicast, 0));
  EXPECT_EQ(channel.set_hops(Hops::unicast, 0), std::errc::invalid_argument);
  EXPECT_EQ(channel.set_hops(Hops::multicast, 256), std::errc::invalid_argument);

  Peer v6_peer = open("v6", {.family = AddressFamily::ipv6});
  const Address v6_group = *Address::parse("ff02::1", 0);
  EXPECT_FALSE(v6_peer.channel->set_membership(v6_group, {}, true));
  EXPECT_EQ(v6_peer.channel->set_membership(group(0), {}, true), std::errc::invalid_argument);

  Peer local = open("local", {.family = AddressFamily::unix_socket});
  for (const std::error_code error :
       {local.channel->set_membership(group(0), {}, true),
        local.channel->set_hops(Hops::unicast, 1), local.channel->set_multicast_loop(true),
        local.channel->set_multicast_interface({})}) {
    EXPECT_EQ(error, std::errc::operation_not_supported);
  }
}

// --- Receiving -----------------------------------------------------------------------------------

TEST_F(SimulatedDatagrams, NoMoreThanALimitComeInOneDispatch) {
  Peer server = open("server", v4(53));
  Peer client = open("client", {}, v4(53));
  for (int number = 0; number < 100; ++number) client.send(std::to_string(number));
  settle();
  EXPECT_EQ(events(), Trace());
  server.channel->start_receiving();
  EXPECT_EQ(backend->dispatch(), 0U);  // rule 1
  backend->wait(backend->now());
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_EQ(server.senders.size(), detail::max_datagrams);
  settle();
  EXPECT_EQ(server.senders.size(), 100U);
  EXPECT_EQ(server.receive_events, 2);
}

// S8, D16
TEST_F(SimulatedDatagrams, WhatWasNotTakenComesFirstWhenReceivingGoesOn) {
  Peer server = open("server", v4(53));
  Peer client = open("client", {}, v4(53));
  for (const char* text : {"one", "two", "three"}) client.send(text);
  settle();
  server.take_at_most = 1;
  server.in_received = [&] { server.channel->stop_receiving(); };
  server.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"server: received one"}));
  client.send("four");
  settle();
  EXPECT_EQ(events(), Trace());
  server.in_received = nullptr;
  server.take_at_most = 1000;
  server.channel->start_receiving();
  settle();
  EXPECT_EQ(events(),
            Trace({"server: received two", "server: received three", "server: received four"}));
}

TEST_F(SimulatedDatagrams, AChannelMayCloseInItsEventsAndGoInTheLast) {
  Peer server = open("server", v4(53));
  Peer client = open("client", {}, v4(53));
  for (const char* text : {"one", "two"}) client.send(text);
  server.take_at_most = 1;
  server.in_received = [&] { server.channel->close(); };
  server.in_closed = [&] { server.channel.reset(); };
  settle();
  server.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"server: received one", "server: closed"}));
  EXPECT_EQ(server.channel, nullptr);
  Peer successor = open("successor", v4(53));
}

// --- Between Unix sockets ------------------------------------------------------------------------

TEST_F(SimulatedDatagrams, UnixSocketsAreReachedByName) {
  Peer server = open("server", path("/server"));
  Peer nameless = open("nameless", {}, path("/server"));
  Peer named = open("named", path("/client"), path("/server"));
  server.channel->start_receiving();
  named.channel->start_receiving();
  EXPECT_EQ(nameless.channel->peer_address(), path("/server"));
  nameless.send("one");
  settle();
  named.send("");
  settle();
  EXPECT_EQ(server.senders, std::vector({Address(), path("/client")}));
  server.send("answer", path("/client"));
  settle();
  EXPECT_EQ(events(),
            Trace({"server: received one", "server: received ", "named: received answer"}));
  nameless.send("x", path("/client"));  // which hears its peer only
  nameless.send("x", path("/nobody"));
  nameless.send(std::string(300'000, 'x'), path("/server"));
  EXPECT_EQ(events(), Trace({"nameless: send: not permitted", "nameless: send: no such file",
                             "nameless: send: too long"}));
}

// D21
TEST_F(SimulatedDatagrams, AUnixPathIsReplacedAndItsOldSocketStaysWithItsPeers) {
  Peer first = open("first", path("/x"));
  Peer client = open("client", {}, path("/x"));
  Peer second = open("second", path("/x"));
  first.channel->start_receiving();
  second.channel->start_receiving();
  client.send("to the peer");
  settle();
  client.send("to the path", path("/x"));
  settle();
  EXPECT_EQ(events(), Trace({"first: received to the peer", "second: received to the path"}));
  second.channel.reset();
  client.send("x");
  first.channel.reset();
  client.to = {};
  client.send("y");
  EXPECT_EQ(events(), Trace({"client: send: refused", "client: send: refused"}));
}

class SmallDatagramBuffers : public SimulatedDatagrams {
 protected:
  SmallDatagramBuffers() : SimulatedDatagrams({.seed = 3, .buffer_size = 300}) {}
};

TEST_F(SmallDatagramBuffers, WhatThereIsNoRoomForIsLostOverTheInternet) {
  Peer server = open("server", v4(53));
  Peer client = open("client", {}, v4(53));
  for (int number = 0; number < 9; ++number) client.send(std::to_string(number));
  settle();
  server.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"server: received 0", "server: received 1", "server: received 2",
                             "server: received 3", "server: received 4"}));
  client.send("again");
  settle();
  EXPECT_EQ(events(), Trace({"server: received again"}));
}

TEST_F(SmallDatagramBuffers, AUnixSenderWaitsForRoom) {
  Peer server = open("server", path("/x"));
  Peer client = open("client", {}, path("/x"));
  Trace expected;
  for (int number = 0; number < 20; ++number) {
    if (client.queue.empty()) {
      client.send(std::to_string(number));
    } else {
      client.queue.push_back(std::to_string(number));
    }
    expected.push_back("server: received " + std::to_string(number));
  }
  settle();
  EXPECT_EQ(client.queue.size(), 15U);
  EXPECT_EQ(events(), Trace());
  EXPECT_FALSE(backend->has_pending_events());
  server.channel->start_receiving();
  settle();
  EXPECT_TRUE(client.queue.empty());
  Trace received = events();
  std::erase_if(received, [](const std::string& what) { return what.starts_with("client: sent"); });
  EXPECT_EQ(received, expected);
}

// D10, D12
TEST_F(SmallDatagramBuffers, ASendErrorLosesOneDatagramAndTheOthersGoOn) {
  Peer server = open("server", path("/x"));
  Peer client = open("client", {.family = AddressFamily::unix_socket});
  client.to = path("/x");
  for (int number = 0; number < 5; ++number) client.send(std::to_string(number));
  client.send("waits");
  client.queue.emplace_back("fails");
  server.channel.reset();
  settle();
  EXPECT_EQ(events(), Trace({"client: sent 1, refused", "client: sent 1, refused"}));
}

TEST_F(SmallDatagramBuffers, ClosingDropsWhatWaits) {
  Peer server = open("server", path("/x"));
  Peer client = open("client", {}, path("/x"));
  for (int number = 0; number < 5; ++number) client.send("x");
  client.send("waits");
  client.channel->close();
  server.channel->start_receiving();
  settle();
  EXPECT_EQ(server.senders.size(), 5U);
  EXPECT_EQ(events()[0], "client: closed");
}

// --- Chance --------------------------------------------------------------------------------------

TEST_F(SimulatedDatagrams, RunsAreTheSameForTheSameSeed) {
  const auto run = [&](std::uint64_t seed) {
    backend = make_simulated_backend({.seed = seed});
    Peer server = open("server", v4(53));
    Peer first = open("first", {}, v4(53));
    Peer second = open("second", {}, v4(53));
    server.channel->start_receiving();
    for (int number = 0; number < 20; ++number) {
      first.send(std::to_string(number));
      second.send(std::to_string(-number));
    }
    settle();
    trace.push_back("at " + std::to_string(backend->now().time_since_epoch().count()));
    return events();
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace weir::test_backend
