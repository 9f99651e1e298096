#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "datagram_sender.h"
#include "kernel_fixture.h"
#include "socket_calls.h"

namespace weir::test_backend {
namespace {

using detail::DatagramChannel;
using detail::DatagramEvents;
using detail::DatagramOpened;
using detail::DatagramPlan;
using detail::DatagramSender;
using detail::DatagramSendResult;
using detail::max_datagrams;
using detail::OutgoingDatagram;
using detail::ReceivedDatagram;

using Texts = std::vector<std::string>;

Address path(std::string name) { return Address::unix_socket(std::move(name)); }

/// `count` texts, all different, of sizes that differ by less than ten.
Texts numbered(std::size_t count, std::size_t size = 4) {
  Texts texts;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = std::to_string(i);
    text.resize(std::max(text.size(), size), '.');
    texts.push_back(text);
  }
  return texts;
}

class Peer final : public DatagramEvents {
 public:
  explicit Peer(std::unique_ptr<DatagramChannel> taken) : channel(std::move(taken)) {
    channel->attach(*this);
  }

  std::size_t on_datagrams(std::span<const ReceivedDatagram> datagrams) noexcept override {
    batches.push_back(datagrams.size());
    std::size_t taken = 0;
    for (const ReceivedDatagram& datagram : datagrams) {
      if (received.size() == stop_after) break;
      received.push_back(text_of(datagram.data));
      senders.push_back(datagram.sender);
      ++taken;
      if (received.size() == stop_after && in_stop) in_stop();
    }
    return taken;
  }
  void on_receive_failed(std::error_code error) noexcept override {
    receive_errors.push_back(error);
  }
  std::size_t unsent(std::span<OutgoingDatagram> datagrams) noexcept override {
    const std::size_t count = std::min(datagrams.size(), queue.size());
    for (std::size_t i = 0; i < count; ++i) {
      datagrams[i] = {bytes_of(queue[i]), to.empty() ? nullptr : &to};
    }
    return count;
  }
  void on_sent(std::size_t count, std::error_code error) noexcept override {
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
    sent += count;
    if (error) send_errors.push_back(error);
  }
  void on_closed() noexcept override { closed = true; }

  DatagramSendResult send(const Texts& texts, const Address& destination = {}) {
    std::vector<OutgoingDatagram> datagrams;
    for (const std::string& text : texts) {
      datagrams.push_back({bytes_of(text), destination.empty() ? nullptr : &destination});
    }
    return channel->try_send(datagrams);
  }
  Address address() const { return channel->local_address(); }

  std::unique_ptr<DatagramChannel> channel;
  Address to;  ///< of the queue; empty: the peer
  std::deque<std::string> queue;
  Texts received;
  std::vector<Address> senders;
  std::vector<std::size_t> batches;
  std::vector<std::error_code> receive_errors;
  std::vector<std::error_code> send_errors;
  std::size_t sent = 0;
  std::size_t stop_after = std::size_t(-1);
  std::function<void()> in_stop;
  bool closed = false;
};

class KernelDatagrams : public KernelBackendTest {
 protected:
  Peer open(const DatagramPlan& plan = {.local = v4(0)}) {
    DatagramOpened opened = backend->open_datagram(plan);
    if (opened.error) throw std::system_error(opened.error);
    return Peer(std::move(opened.channel));
  }
  /// One that is connected to `peer`, and receives.
  Peer connected_to(const Peer& peer) { return open({.local = v4(0), .remote = peer.address()}); }

  const TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Kernel, KernelDatagrams, testing::ValuesIn(kernel_backends()),
                         kernel_backend_name);

// --- Receiving --------------------------------------------------------------------------------------

TEST_P(KernelDatagrams, KeepsBoundariesAndOrder) {
  for (const Address& local : {v4(0), v6(0), path(directory_.file("receiver"))}) {
    std::optional<Peer> receiver;
    try {
      receiver.emplace(open({.local = local}).channel);
    } catch (const std::system_error&) {
      continue;  // a machine without IPv6
    }
    const bool local_socket = local.family() == AddressFamily::unix_socket;
    Peer sender = open({.local = local_socket ? path(directory_.file("sender")) : local});
    receiver->channel->start_receiving();
    const Texts texts{"one", "", "three", std::string(50'000, 'x'), "", "six"};
    EXPECT_EQ(sender.send(texts, receiver->address()).done, texts.size());
    settle();
    EXPECT_EQ(receiver->received, texts);
    EXPECT_EQ(receiver->senders, std::vector<Address>(texts.size(), sender.address()));
  }
}

TEST_P(KernelDatagrams, TellsSendersApart) {
  Peer receiver = open();
  receiver.channel->start_receiving();
  std::deque<Peer> senders;
  for (int i = 0; i < 3; ++i) senders.push_back(open());
  std::vector<Address> expected;
  for (int round = 0; round < 4; ++round) {
    for (Peer& sender : senders) {
      for (int i = 0; i <= round; ++i) {
        sender.send({"text"}, receiver.address());
        expected.push_back(sender.address());
      }
    }
    settle();
  }
  EXPECT_EQ(receiver.senders, expected);
}

// Rule 3, S3: a batch a turn.
TEST_P(KernelDatagrams, DeliversOneBatchATurn) {
  Peer receiver = open();
  Peer sender = connected_to(receiver);
  const Texts texts = numbered(3 * max_datagrams);
  for (int i = 0; i < 3; ++i) {
    const auto part = texts.begin() + i * static_cast<std::ptrdiff_t>(max_datagrams);
    ASSERT_EQ(sender.send({part, part + static_cast<std::ptrdiff_t>(max_datagrams)}).done,
              max_datagrams);
  }
  receiver.channel->start_receiving();
  turn();
  EXPECT_EQ(receiver.received.size(), max_datagrams);
  turn();
  EXPECT_EQ(receiver.received.size(), 2 * max_datagrams);
  settle();
  EXPECT_EQ(receiver.received, texts);
}

// S8, D16: what was received but not taken is held, and comes first when receiving goes on.
TEST_P(KernelDatagrams, HoldsTheRestOfABatch) {
  Peer receiver = open();
  Peer sender = connected_to(receiver);
  const Texts texts = numbered(20);
  ASSERT_EQ(sender.send({texts.begin(), texts.begin() + 10}).done, 10U);
  receiver.stop_after = 3;
  receiver.in_stop = [&] { receiver.channel->stop_receiving(); };
  receiver.channel->start_receiving();
  settle();
  EXPECT_EQ(receiver.received.size(), 3U);
  ASSERT_EQ(sender.send({texts.begin() + 10, texts.end()}).done, 10U);
  settle();
  EXPECT_EQ(receiver.received.size(), 3U);
  receiver.stop_after = 5;
  receiver.channel->start_receiving();
  settle();
  EXPECT_EQ(receiver.received.size(), 5U);
  receiver.stop_after = std::size_t(-1);
  receiver.channel->start_receiving();
  settle();
  EXPECT_EQ(receiver.received, texts);
  EXPECT_EQ(receiver.senders, std::vector<Address>(20, sender.address()));
}

// C10: a dispatch that is interrupted loses nothing, although receiving was not stopped.
TEST_P(KernelDatagrams, HoldsTheRestOfAnInterruptedBatch) {
  Peer receiver = open();
  Peer sender = connected_to(receiver);
  const Texts texts = numbered(10);
  sender.send(texts);
  receiver.stop_after = 3;
  receiver.in_stop = [&] { backend->interrupt_dispatch(); };
  receiver.channel->start_receiving();
  turn();
  EXPECT_EQ(receiver.received.size(), 3U);
  receiver.stop_after = std::size_t(-1);
  settle();
  EXPECT_EQ(receiver.received, texts);
}

TEST_P(KernelDatagrams, DropsTheHeldRestAtClose) {
  Peer receiver = open();
  Peer sender = connected_to(receiver);
  sender.send(numbered(10));
  receiver.stop_after = 3;
  receiver.in_stop = [&] { receiver.channel->close(); };
  receiver.channel->start_receiving();
  settle();
  EXPECT_TRUE(receiver.closed);
  EXPECT_EQ(receiver.received.size(), 3U);
}

// D9: an error is told, and receiving goes on.
TEST_P(KernelDatagrams, GoesOnAfterAReceiveError) {
  Peer receiver = open();
  const Address address = receiver.address();
  Peer sender = connected_to(receiver);
  sender.channel->start_receiving();
  receiver.channel->close();
  sender.send({"to nobody"});
  settle();
  ASSERT_EQ(sender.receive_errors.size(), 1U);
  EXPECT_EQ(sender.receive_errors[0], std::errc::connection_refused);
  Peer again = open({.local = address});
  again.send({"hello"}, sender.address());
  settle();
  EXPECT_EQ(sender.received, Texts{"hello"});
  // With datagrams behind the error.
  sender.channel->stop_receiving();
  again.channel->close();
  sender.send({"to nobody"});
  Peer third = open({.local = address});
  third.send({"one"}, sender.address());
  third.send({"two"}, sender.address());
  sender.channel->start_receiving();
  settle();
  EXPECT_EQ(sender.receive_errors.size(), 2U);
  EXPECT_EQ(sender.received, (Texts{"hello", "one", "two"}));
}

// D2: room for 256 KiB.
TEST_P(KernelDatagrams, ReceivesLargeUnixDatagrams) {
  Pair pair = make_socket_pair(SOCK_DGRAM);
  const int size = 1 << 20;
  ::setsockopt(pair.b.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  auto channel = backend->adopt_datagram(pair.a.release());
  ASSERT_TRUE(channel);
  Peer receiver(std::move(channel.value()));
  receiver.channel->start_receiving();
  for (const char letter : {'a', 'b', 'c'}) {
    const std::string text(256 * 1024, letter);
    ASSERT_EQ(::send(pair.b.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    settle();
    ASSERT_FALSE(receiver.received.empty());
    EXPECT_TRUE(receiver.received.back() == text);
  }
  EXPECT_EQ(receiver.received.size(), 3U);
}

// --- Opening ----------------------------------------------------------------------------------------

TEST_P(KernelDatagrams, AdoptsDatagramSocketsOnly) {
  Pair streams = make_socket_pair();
  EXPECT_EQ(backend->adopt_datagram(streams.a.get()).error(), std::errc::wrong_protocol_type);
  EXPECT_EQ(backend->adopt_datagram(-1).error(), std::errc::bad_file_descriptor);
  Pair pair = make_socket_pair(SOCK_DGRAM);
  const int number = pair.a.release();
  auto channel = backend->adopt_datagram(number);
  ASSERT_TRUE(channel);
  EXPECT_NE(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(backend->adopt_datagram(number).error(), std::errc::device_or_resource_busy);
}

// D7: a peer needs no name.
TEST_P(KernelDatagrams, FindsAPeerWithoutAName) {
  Pair pair = make_socket_pair(SOCK_DGRAM);
  auto channel = backend->adopt_datagram(pair.a.release());
  ASSERT_TRUE(channel);
  EXPECT_EQ(channel.value()->peer_address(), path(""));
  Peer peer(std::move(channel.value()));
  EXPECT_EQ(peer.send({"text"}).done, 1U);
  EXPECT_EQ(read_some(pair.b.get()), "text");

  Peer other = open();
  EXPECT_EQ(other.channel->peer_address(), std::nullopt);
  EXPECT_EQ(connected_to(other).channel->peer_address(), other.address());
}

// D20: with broadcasting the socket is not connected, so that it hears the answers of others.
TEST_P(KernelDatagrams, IsNotConnectedIfItMayBroadcast) {
  Peer receiver = open();
  Peer sender = open({.local = v4(0), .remote = receiver.address(), .allow_broadcast = true});
  EXPECT_EQ(sender.channel->peer_address(), std::nullopt);
  int allowed = 0;
  socklen_t length = sizeof allowed;
  ::getsockopt(sender.channel->descriptor(), SOL_SOCKET, SO_BROADCAST, &allowed, &length);
  EXPECT_EQ(allowed, 1);
}

TEST_P(KernelDatagrams, SharesAPortOnlyIfAskedTo) {
  Peer first = open({.local = v4(0), .reuse_port = true});
  Peer second = open({.local = first.address(), .reuse_port = true});
  const DatagramOpened third = backend->open_datagram({.local = first.address()});
  EXPECT_EQ(third.step, ConnectStep::bind);
  EXPECT_EQ(third.error, std::errc::address_in_use);
}

// D21: a stale socket file makes room, any other file stays.
TEST_P(KernelDatagrams, RemovesAStaleSocketFileOnly) {
  const std::string name = directory_.file("socket");
  open({.local = path(name)}).channel.reset();
  ASSERT_TRUE(std::filesystem::is_socket(name));
  EXPECT_EQ(open({.local = path(name)}).address(), path(name));

  const std::string other = directory_.file("file");
  Fd(::open(other.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
  const DatagramOpened refused = backend->open_datagram({.local = path(other)});
  EXPECT_EQ(refused.error, std::errc::address_in_use);
  EXPECT_EQ(refused.step, ConnectStep::bind);
  EXPECT_TRUE(std::filesystem::is_regular_file(other));
}

TEST_P(KernelDatagrams, TakesPartInAMulticastGroup) {
  Peer receiver = open({.local = any_v4(0), .reuse_port = true});
  Peer sender = open();
  const Address loopback = v4(0);
  const Address group = Address::ipv4({239, 255, 7, 9}, receiver.address().port());
  if (const std::error_code error = receiver.channel->set_membership(group, loopback, true)) {
    GTEST_SKIP() << "no multicast on the loopback interface: " << error.message();
  }
  EXPECT_FALSE(sender.channel->set_multicast_interface(loopback));
  EXPECT_FALSE(sender.channel->set_hops(DatagramChannel::Hops::multicast, 0));
  EXPECT_FALSE(sender.channel->set_hops(DatagramChannel::Hops::unicast, 7));
  receiver.channel->start_receiving();
  if (const auto result = sender.send({"to all"}, group); result.error) {
    GTEST_SKIP() << "no multicast on the loopback interface: " << result.error.message();
  }
  settle();
  EXPECT_EQ(receiver.received, Texts{"to all"});
  EXPECT_FALSE(sender.channel->set_multicast_loop(false));
  EXPECT_FALSE(sender.channel->set_multicast_loop(true));
  EXPECT_FALSE(receiver.channel->set_membership(group, loopback, false));
  sender.send({"no longer"}, group);
  settle();
  EXPECT_EQ(receiver.received, Texts{"to all"});

  EXPECT_EQ(receiver.channel->set_membership(group, loopback, false),
            std::errc::address_not_available);
  EXPECT_EQ(receiver.channel->set_membership(group, v6(0), true),
            std::errc::address_family_not_supported);
  Peer unix_socket = open({.family = AddressFamily::unix_socket});
  EXPECT_EQ(unix_socket.channel->set_multicast_loop(true), std::errc::operation_not_supported);
}

// --- Sending ----------------------------------------------------------------------------------------

// D10: an error is that of one datagram; the others leave.
TEST_P(KernelDatagrams, EachDatagramHasItsOwnFate) {
  Peer receiver = open();
  receiver.channel->start_receiving();
  Peer sender = open();
  const Address good = receiver.address();
  const Address bad = Address::ipv4({255, 255, 255, 255}, 9);  // a broadcast, which is not allowed
  const std::string huge(65'508, 'x');
  const std::vector<OutgoingDatagram> datagrams{
      {bytes_of("1"), &good}, {bytes_of("2"), &good},  {bytes_of("3"), &bad}, {bytes_of("4"), &bad},
      {bytes_of("5"), &good}, {bytes_of(huge), &good}, {bytes_of("6"), &good}};
  std::vector<std::size_t> failed;
  std::size_t done = 0;
  while (done < datagrams.size()) {
    const auto result = sender.channel->try_send(std::span(datagrams).subspan(done));
    done += result.done;
    ASSERT_GT(result.done, 0U);
    if (result.error) failed.push_back(done - 1);
  }
  settle();
  EXPECT_EQ(failed, (std::vector<std::size_t>{2, 3, 5}));
  EXPECT_EQ(receiver.received, (Texts{"1", "2", "5", "6"}));
}

TEST_P(KernelDatagrams, TheQueueGoesOnAfterAnError) {
  Peer receiver = open();
  receiver.channel->start_receiving();
  Peer sender = connected_to(receiver);
  sender.queue = {"one", std::string(65'508, 'x'), "two"};
  sender.channel->start_sending();
  settle();
  EXPECT_EQ(receiver.received, (Texts{"one", "two"}));
  ASSERT_EQ(sender.send_errors.size(), 1U);
  EXPECT_EQ(sender.send_errors[0], std::errc::message_size);
  // And after one that try_send() told.
  EXPECT_TRUE(sender.send({std::string(65'508, 'x')}).error);
  sender.queue = {"three"};
  sender.channel->start_sending();
  settle();
  EXPECT_EQ(receiver.received.back(), "three");
}

TEST_P(KernelDatagrams, APathThatDoesNotFitIsAnErrorOfItsDatagram) {
  Peer receiver = open({.local = path(directory_.file("receiver"))});
  Peer sender = open({.family = AddressFamily::unix_socket});
  const Address good = receiver.address();
  const Address bad = path(std::string(200, 'x'));
  const std::vector<OutgoingDatagram> datagrams{
      {bytes_of("1"), &good}, {bytes_of("2"), &bad}, {bytes_of("3"), &good}};
  const DatagramSendResult result = sender.channel->try_send(datagrams);
  EXPECT_EQ(result.done, 2U);
  EXPECT_EQ(result.error, std::errc::filename_too_long);
}

// A full receiver: no datagram is lost, and nothing spins until there is room.
TEST_P(KernelDatagrams, WaitsForAFullUnixReceiver) {
  for (const bool connected : {true, false}) {
    Peer receiver = open({.local = path(directory_.file("receiver"))});
    Peer sender = open({.family = AddressFamily::unix_socket,
                        .remote = connected ? receiver.address() : Address()});
    if (!connected) sender.to = receiver.address();
    const Texts texts = numbered(1000, 100);
    sender.queue = {texts.begin(), texts.end()};
    sender.channel->start_sending();
    settle();
    EXPECT_GT(sender.queue.size(), 0U);
    EXPECT_EQ(sender.send({"more"}, sender.to).done, 0U);  // it would block
    sender.channel->start_sending();
    settle();
    receiver.channel->start_receiving();
    run_until([&] { return receiver.received.size() == texts.size(); });
    EXPECT_EQ(receiver.received, texts);
    EXPECT_TRUE(sender.send_errors.empty());
  }
}

TEST_P(KernelDatagrams, AReceiverThatGoesAwayEndsTheWait) {
  std::optional<Peer> receiver;
  receiver.emplace(open({.local = path(directory_.file("receiver"))}).channel);
  Peer sender = open({.family = AddressFamily::unix_socket});
  sender.to = receiver->address();
  const Texts texts = numbered(500);
  sender.queue = {texts.begin(), texts.end()};
  sender.channel->start_sending();
  settle();
  EXPECT_GT(sender.queue.size(), 0U);
  const std::size_t left = sender.queue.size();
  receiver->channel->close();
  run_until([&] { return sender.queue.empty(); });
  EXPECT_EQ(sender.send_errors,
            std::vector(left, std::error_code(ECONNREFUSED, std::system_category())));
}

// --- Groups -----------------------------------------------------------------------------------------

/// The datagrams of `texts` as DatagramSender takes them.
std::vector<OutgoingDatagram> outgoing(const Texts& texts) {
  std::vector<OutgoingDatagram> datagrams;
  for (const std::string& text : texts) datagrams.push_back({bytes_of(text), nullptr});
  return datagrams;
}

/// A connected pair over UDP, whose receiver is told of groups.
struct GroupPair {
  GroupPair() {
    receiver = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sender = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_FALSE(detail::bind_socket(receiver.get(), v4(0)));
    EXPECT_FALSE(detail::connect_socket(sender.get(), detail::local_address_of(receiver.get())));
    const int on = 1;
    EXPECT_EQ(::setsockopt(receiver.get(), IPPROTO_UDP, UDP_GRO, &on, sizeof on), 0);
  }
  /// The sizes of the messages that arrived, groups being one.
  std::vector<std::size_t> messages() const {
    std::vector<std::size_t> sizes;
    std::string buffer(65'536, '\0');
    for (;;) {
      const ssize_t count = ::recv(receiver.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count < 0) return sizes;
      sizes.push_back(static_cast<std::size_t>(count));
    }
  }

  Fd receiver;
  Fd sender;
};

using Sizes = std::vector<std::size_t>;

TEST(DatagramSenderTest, SendsNeighboursOfOneSizeAsOneMessage) {
  const GroupPair pair;
  DatagramSender sender(AddressFamily::ipv4);
  const Texts texts{"aaaa", "bbbb", "cccc", "d", "ee", "ee", "", "", "ffffff"};
  const auto result = sender.send(pair.sender.get(), outgoing(texts));
  EXPECT_EQ(result.done, texts.size());
  EXPECT_FALSE(result.error);
  EXPECT_EQ(pair.messages(), (Sizes{13, 4, 0, 0, 6}));
}

TEST(DatagramSenderTest, KeepsAGroupWithinAPacket) {
  const GroupPair pair;
  DatagramSender sender(AddressFamily::ipv4);
  const auto result = sender.send(pair.sender.get(), outgoing(Texts(50, std::string(1400, 'x'))));
  EXPECT_EQ(result.done, 50U);
  EXPECT_EQ(pair.messages(), (Sizes{46 * 1400, 4 * 1400}));
}

TEST(DatagramSenderTest, GroupsByDestination) {
  const GroupPair one;
  const GroupPair two;
  DatagramSender sender(AddressFamily::ipv4);
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Address first = detail::local_address_of(one.receiver.get());
  const Address equal = first;
  const Address second = detail::local_address_of(two.receiver.get());
  const std::vector<OutgoingDatagram> datagrams{{bytes_of("a"), &first},
                                                {bytes_of("b"), &equal},
                                                {bytes_of("c"), &second},
                                                {bytes_of("d"), &first}};
  EXPECT_EQ(sender.send(socket.get(), datagrams).done, 4U);
  EXPECT_EQ(one.messages(), (Sizes{2, 1}));
  EXPECT_EQ(two.messages(), (Sizes{1}));
}

// Members of a refused group are sent singly.
TEST(DatagramSenderTest, SendsTheMembersOfARefusedGroupSingly) {
  const GroupPair pair;
  const int on = 1;  // the kernel makes no groups for a socket without checksums
  ASSERT_EQ(::setsockopt(pair.sender.get(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
  DatagramSender sender(AddressFamily::ipv4);
  for (int round = 0; round < 2; ++round) {
    const auto result =
        sender.send(pair.sender.get(), outgoing({"aaaa", "bbbb", "cccc", "dd", "dd"}));
    EXPECT_EQ(result.done, 5U);
    EXPECT_FALSE(result.error);
    EXPECT_EQ(pair.messages(), (Sizes{4, 4, 4, 2, 2}));
  }
}

TEST(DatagramSenderTest, MembersOfAGroupFailOneByOne) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  DatagramSender sender(AddressFamily::ipv4);
  const Address bad = Address::ipv4({255, 255, 255, 255}, 9);
  const std::vector<OutgoingDatagram> datagrams(3, {bytes_of("text"), &bad});
  const auto result = sender.send(socket.get(), datagrams);
  EXPECT_EQ(result.done, 1U);
  EXPECT_EQ(result.error, std::errc::permission_denied);
}

// Bursts that come merged are taken apart, whatever their size, and each batch stays one.
TEST_P(KernelDatagrams, TakesApartWhatTheKernelMerges) {
  for (const std::size_t size : {3U, 900U}) {
    Peer receiver = open();
    receiver.channel->start_receiving();
    Peer sender = connected_to(receiver);
    const auto merging = [&] {
      int on = 0;
      socklen_t length = sizeof on;
      ::getsockopt(receiver.channel->descriptor(), IPPROTO_UDP, UDP_GRO, &on, &length);
      return on == 1;
    };
    EXPECT_FALSE(merging());
    Texts expected;
    for (int burst = 0; burst < 20; ++burst) {
      Texts texts = numbered(max_datagrams, size);
      texts.back() = "x";
      ASSERT_EQ(sender.send(texts).done, texts.size());
      expected.insert(expected.end(), texts.begin(), texts.end());
      settle();
    }
    EXPECT_TRUE(merging());
    // Several at once: more than one batch arrives by one call.
    receiver.channel->stop_receiving();
    for (int burst = 0; burst < 3; ++burst) {
      const Texts texts = numbered(max_datagrams, size / 3);
      ASSERT_EQ(sender.send(texts).done, texts.size());
      expected.insert(expected.end(), texts.begin(), texts.end());
    }
    receiver.channel->start_receiving();
    settle();
    // Single ones again, until many are received at once.
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < 10; ++i) {
        sender.send({"single" + std::to_string(i)});
        expected.push_back("single" + std::to_string(i));
      }
      settle();
    }
    EXPECT_EQ(receiver.received, expected);
    EXPECT_LE(std::ranges::max(receiver.batches), max_datagrams);
    EXPECT_EQ(receiver.senders, std::vector<Address>(expected.size(), sender.address()));
  }
}

// Merging would change what others receive who share the socket.
TEST_P(KernelDatagrams, DoesNotMergeOnAnAdoptedSocket) {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_FALSE(detail::bind_socket(socket.get(), v4(0)));
  auto channel = backend->adopt_datagram(socket.release());
  ASSERT_TRUE(channel);
  Peer receiver(std::move(channel.value()));
  receiver.channel->start_receiving();
  Peer sender = connected_to(receiver);
  for (int burst = 0; burst < 20; ++burst) {
    ASSERT_EQ(sender.send(numbered(max_datagrams)).done, max_datagrams);
    settle();
  }
  EXPECT_EQ(receiver.received.size(), 20 * max_datagrams);
  int on = 0;
  socklen_t length = sizeof on;
  ::getsockopt(receiver.channel->descriptor(), IPPROTO_UDP, UDP_GRO, &on, &length);
  EXPECT_EQ(on, 0);
}

}  // namespace
}  // namespace weir::test_backend
