#include <gtest/gtest.h>
#include <weir/address.h>
#include <weir/simulation.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "backend.h"

namespace weir {
namespace {

using detail::Backend;
using detail::ConnectAttempt;
using detail::ConnectEvents;
using detail::ConnectStart;
using detail::ConnectStep;
using detail::ConstBytes;
using detail::ListenChannel;
using detail::ListenEvents;
using detail::ListenOptions;
using detail::make_simulated_backend;
using detail::SendResult;
using detail::StreamChannel;
using detail::StreamEvents;
using detail::TimePoint;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

using Trace = std::vector<std::string>;

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(ConstBytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += static_cast<char>(byte);
  return text;
}

std::string name_of(std::error_code error) {
  if (error == std::errc::connection_reset) return "reset";
  if (error == std::errc::broken_pipe) return "broken pipe";
  if (error == std::errc::connection_refused) return "refused";
  return error.message();
}

/// The user of a stream: writes down its events in a trace, and queues what is to be sent.
class User final : public StreamEvents {
 public:
  User(std::string name, Trace& trace, std::unique_ptr<StreamChannel> taken)
      : channel(std::move(taken)), name_(std::move(name)), trace_(trace) {
    channel->attach(*this);
  }

  std::optional<std::span<std::byte>> receive_buffer() noexcept override {
    if (in_receive_buffer) in_receive_buffer();
    if (refuse) return std::nullopt;
    return std::span(own_buffer);
  }
  void on_received(ConstBytes bytes) noexcept override {
    ++receive_events;
    last = bytes;
    received += text_of(bytes);
    note("received " + text_of(bytes));
    if (in_received) in_received();
  }
  void on_eof() noexcept override { note("eof"); }
  std::size_t unsent(std::span<ConstBytes> pieces) noexcept override {
    if (queue.empty()) return 0;
    pieces[0] = bytes_of(queue);
    return 1;
  }
  void on_sent(std::size_t count) noexcept override {
    queue.erase(0, count);
    note("sent " + std::to_string(count));
    if (in_sent) in_sent();
  }
  void on_failed(std::error_code error) noexcept override { note("failed " + name_of(error)); }
  void on_closed() noexcept override {
    note("closed");
    if (in_closed) in_closed();
  }

  /// Sends what goes at once, and the rest later.
  void send(std::string_view text) {
    const ConstBytes piece = bytes_of(text);
    const SendResult result = channel->try_send({&piece, 1});
    if (result.error) return note("send: " + name_of(result.error));
    queue = text.substr(result.sent);
    if (!queue.empty()) channel->start_sending();
  }

  std::unique_ptr<StreamChannel> channel;
  std::vector<std::byte> own_buffer;
  std::string received;
  std::string queue;
  ConstBytes last;
  int receive_events = 0;
  bool refuse = false;
  std::function<void()> in_receive_buffer;
  std::function<void()> in_received;
  std::function<void()> in_sent;
  std::function<void()> in_closed;

 private:
  void note(const std::string& what) { trace_.push_back(name_ + ": " + what); }

  std::string name_;
  Trace& trace_;
};

struct Accepting final : ListenEvents {
  void on_accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept override {
    channels.push_back(std::move(channel));
    peers.push_back(peer);
    if (in_accepted) in_accepted();
  }
  void on_accept_failed(std::error_code) noexcept override { ADD_FAILURE(); }

  std::vector<std::unique_ptr<StreamChannel>> channels;
  std::vector<Address> peers;
  std::function<void()> in_accepted;
};

struct Connecting final : ConnectEvents {
  void on_connected(std::unique_ptr<StreamChannel> connected) noexcept override {
    channel = std::move(connected);
    if (in_event) in_event();
  }
  void on_connect_failed(std::error_code reason) noexcept override {
    error = reason;
    if (in_event) in_event();
  }
  bool done() const { return channel != nullptr || error; }

  std::unique_ptr<StreamChannel> channel;
  std::error_code error;
  std::function<void()> in_event;
};

Address v4(std::uint16_t port) { return Address::ipv4({127, 0, 0, 1}, port); }
Address any_v4(std::uint16_t port) { return Address::ipv4({0, 0, 0, 0}, port); }
Address v6(std::uint16_t port) {
  return Address::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
}

/// A backend, run until nothing goes on in it.
class SimulatedBackendTest : public testing::Test {
 protected:
  explicit SimulatedBackendTest(const SimulationOptions& options = {})
      : backend(make_simulated_backend(options)) {}

  std::size_t turn() {
    backend->wait(backend->now() + seconds(1));
    return backend->dispatch();
  }
  void run_until(const std::function<bool()>& condition) {
    for (int turns = 0; !condition(); ++turns) {
      ASSERT_LT(turns, 100'000) << "the condition never holds";
      turn();
    }
  }
  /// Nothing is left to happen when a whole second brings no event.
  void settle() {
    while (turn() > 0 || backend->has_pending_events()) {
    }
  }

  std::unique_ptr<ListenChannel> listen(const Address& address, Accepting& events,
                                        int backlog = 100, ListenOptions options = {}) {
    auto listener = backend->bind(address, options);
    EXPECT_TRUE(listener) << listener.error();
    EXPECT_FALSE(listener.value()->start_accepting(events, backlog));
    return std::move(listener.value());
  }
  std::error_code bind_error(const Address& address, ListenOptions options = {}) {
    return backend->bind(address, options).error();
  }
  std::unique_ptr<ConnectAttempt> connect(const Address& remote, ConnectEvents& events,
                                          const Address& local = {}) {
    ConnectStart start = backend->connect(remote, local, events);
    EXPECT_FALSE(start.error) << start.error;
    return std::move(start.attempt);
  }

  /// Makes `left`, a client, and `right`, which was accepted; neither receives yet.
  void make_pair() {
    Accepting accepting;
    Connecting connecting;
    const auto listener = listen(v4(0), accepting);
    const auto attempt = connect(listener->local_address(), connecting);
    run_until([&] { return connecting.done() && !accepting.channels.empty(); });
    left.emplace("left", trace, std::move(connecting.channel));
    right.emplace("right", trace, std::move(accepting.channels.front()));
  }
  /// What was noted since the last call.
  Trace events() { return std::exchange(trace, {}); }

  std::unique_ptr<Backend> backend;
  Trace trace;
  std::optional<User> left;
  std::optional<User> right;
};

// --- Time ----------------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, TimeStandsUntilItWaitsAndThenJumpsToTheDeadline) {
  const TimePoint start = backend->now();
  EXPECT_NE(start, TimePoint());
  EXPECT_EQ(backend->now(), start);
  backend->wait(start + seconds(3600));
  EXPECT_EQ(backend->now(), start + seconds(3600));
  backend->wait(start);
  EXPECT_EQ(backend->now(), start + seconds(3600));
}

TEST_F(SimulatedBackendTest, TimeJumpsToAPacketThatComesBeforeTheDeadline) {
  make_pair();
  right->channel->start_receiving();
  left->send("x");
  const TimePoint sent = backend->now();
  backend->wait(sent + seconds(1));
  EXPECT_GE(backend->now(), sent + microseconds(20));
  EXPECT_LE(backend->now(), sent + microseconds(200));
  EXPECT_EQ(backend->dispatch(), 1U);
}

TEST_F(SimulatedBackendTest, TimeDoesNotJumpPastADeadlineToAPacket) {
  make_pair();
  right->channel->start_receiving();
  left->send("x");
  const TimePoint sent = backend->now();
  backend->wait(sent + microseconds(1));
  EXPECT_EQ(backend->now(), sent + microseconds(1));
  EXPECT_EQ(backend->dispatch(), 0U);
}

TEST_F(SimulatedBackendTest, WakeEndsOneWaitWithoutMovingTime) {
  const TimePoint start = backend->now();
  EXPECT_FALSE(backend->has_pending_events());
  backend->wake();
  backend->wake();
  EXPECT_TRUE(backend->has_pending_events());
  backend->wait(start + seconds(1));
  EXPECT_EQ(backend->now(), start);
  EXPECT_FALSE(backend->has_pending_events());
  backend->wait(start + seconds(1));
  EXPECT_EQ(backend->now(), start + seconds(1));
}

TEST_F(SimulatedBackendTest, WakeFromAnotherThreadEndsAWaitForNothing) {
  std::thread waker([this] { backend->wake(); });
  backend->wait(std::nullopt);
  waker.join();
  EXPECT_EQ(backend->dispatch(), 0U);
}

TEST_F(SimulatedBackendTest, TheEndOfTimeIsReachedWithoutOverflow) {
  Accepting accepting;
  Connecting connecting;
  const auto listener = listen(v4(0), accepting);
  backend->wait(TimePoint::max());
  const auto attempt = connect(listener->local_address(), connecting);
  for (int turns = 0; turns < 10; ++turns) {
    backend->wait(TimePoint::max());
    backend->dispatch();
  }
  EXPECT_TRUE(connecting.channel);
}

// --- Addresses -----------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, BindsPortZeroToTheNextFreePortOfTheFamily) {
  const auto first = backend->bind(v4(0), {});
  const auto taken = backend->bind(v4(32769), {});
  auto next = backend->bind(any_v4(0), {});
  auto other_family = backend->bind(v6(0), {});
  EXPECT_TRUE(first && taken);
  EXPECT_EQ(next.value()->local_address(), any_v4(32770));
  EXPECT_EQ(other_family.value()->local_address(), v6(32768));
}

TEST_F(SimulatedBackendTest, RefusesToBindAnAddressInUse) {
  auto holder = backend->bind(v4(80), {});
  EXPECT_EQ(bind_error(v4(80)), std::errc::address_in_use);
  EXPECT_EQ(bind_error(any_v4(80)), std::errc::address_in_use);
  EXPECT_FALSE(bind_error(Address::ipv4({127, 0, 0, 2}, 80)));
  EXPECT_FALSE(bind_error(v6(80)));
  EXPECT_EQ(bind_error(v4(80), {.reuse_port = true}), std::errc::address_in_use);
  holder.value().reset();
  EXPECT_FALSE(bind_error(any_v4(80)));
}

TEST_F(SimulatedBackendTest, ReusePortSharesAnAddressAndItsConnections) {
  Accepting first_events;
  Accepting second_events;
  const auto first = listen(v4(80), first_events, 100, {.reuse_port = true});
  const auto second = listen(v4(80), second_events, 100, {.reuse_port = true});
  std::vector<Connecting> connecting(50);
  std::vector<std::unique_ptr<ConnectAttempt>> attempts;
  for (Connecting& events : connecting) attempts.push_back(connect(v4(80), events));
  settle();
  EXPECT_EQ(first_events.channels.size() + second_events.channels.size(), 50U);
  EXPECT_FALSE(first_events.channels.empty());
  EXPECT_FALSE(second_events.channels.empty());
}

TEST_F(SimulatedBackendTest, KnowsNoAddressesButItsOwn) {
  EXPECT_EQ(bind_error(Address::ipv4({192, 0, 2, 1}, 80)), std::errc::address_not_available);
  EXPECT_EQ(bind_error(Address::unix_socket("/x")), std::errc::address_family_not_supported);
  EXPECT_FALSE(bind_error(Address::ipv4({127, 1, 2, 3}, 80)));

  EXPECT_EQ(backend->known_addresses("localhost"), std::vector({v6(0), v4(0)}));
  EXPECT_EQ(backend->known_addresses("example.org"), std::vector<Address>());
}

TEST_F(SimulatedBackendTest, HasNothingToDoWithDescriptors) {
  struct : detail::WatchEvents {
    void on_readable() noexcept override {}
    void on_writable() noexcept override {}
  } events;
  EXPECT_EQ(backend->watch(0, events)->want(true, false), std::errc::operation_not_supported);
  EXPECT_EQ(backend->adopt_listener(0).error(), std::errc::operation_not_supported);
  EXPECT_EQ(backend->adopt_stream(0).error(), std::errc::operation_not_supported);
  EXPECT_EQ(backend->poll_descriptor(), -1);
  EXPECT_FALSE(backend->owns(0));
  EXPECT_TRUE(backend->peer_address(0).empty());
}

// --- Connecting ----------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, ConnectsAndAccepts) {
  Accepting accepting;
  Connecting connecting;
  const auto listener = listen(any_v4(80), accepting);
  const auto attempt = connect(v4(80), connecting);
  EXPECT_FALSE(connecting.done());
  settle();
  ASSERT_TRUE(connecting.channel);
  ASSERT_EQ(accepting.channels.size(), 1U);
  EXPECT_EQ(connecting.channel->local_address(), v4(32768));
  EXPECT_EQ(accepting.peers[0], v4(32768));
  EXPECT_EQ(accepting.channels[0]->local_address(), v4(80));
  EXPECT_EQ(connecting.channel->descriptor(), -1);
  EXPECT_EQ(listener->descriptor(), -1);
}

TEST_F(SimulatedBackendTest, ConnectingToAWildcardReachesLoopback) {
  Accepting accepting;
  Connecting connecting;
  const auto listener = listen(v6(80), accepting);
  const auto attempt = connect(Address::ipv6({}, 80), connecting);
  settle();
  ASSERT_EQ(accepting.channels.size(), 1U);
  EXPECT_EQ(accepting.channels[0]->local_address(), v6(80));
}

TEST_F(SimulatedBackendTest, RefusesAConnectionWhenNobodyListens) {
  const auto bound = backend->bind(v4(80), {});
  Connecting to_bound;
  Connecting to_nothing;
  const TimePoint start = backend->now();
  const auto first = connect(v4(80), to_bound);
  const auto second = connect(v4(81), to_nothing);
  settle();
  EXPECT_EQ(to_bound.error, std::errc::connection_refused);
  EXPECT_EQ(to_nothing.error, std::errc::connection_refused);
  EXPECT_GE(backend->now(), start + microseconds(40));
}

TEST_F(SimulatedBackendTest, SomeConnectsFailAtOnce) {
  Connecting events;
  ConnectStart start = backend->connect(Address::ipv4({192, 0, 2, 1}, 80), {}, events);
  EXPECT_EQ(start.attempt, nullptr);
  EXPECT_EQ(start.step, ConnectStep::connect);
  EXPECT_EQ(start.error, std::errc::network_unreachable);

  start = backend->connect(Address::unix_socket("/x"), {}, events);
  EXPECT_EQ(start.step, ConnectStep::socket);
  EXPECT_EQ(start.error, std::errc::address_family_not_supported);

  start = backend->connect(v4(80), v6(0), events);
  EXPECT_EQ(start.step, ConnectStep::bind);
  EXPECT_EQ(start.error, std::errc::address_family_not_supported);

  start = backend->connect(v4(80), Address::ipv4({192, 0, 2, 1}, 0), events);
  EXPECT_EQ(start.step, ConnectStep::bind);
  EXPECT_EQ(start.error, std::errc::address_not_available);
}

TEST_F(SimulatedBackendTest, ConnectsFromTheLocalAddressAndHoldsItUntilClosed) {
  Accepting accepting;
  Connecting connecting;
  const auto listener = listen(v4(80), accepting);
  const auto attempt = connect(v4(80), connecting, v4(5000));
  settle();
  ASSERT_EQ(accepting.peers.size(), 1U);
  EXPECT_EQ(accepting.peers[0], v4(5000));

  Connecting again;
  const ConnectStart failed = backend->connect(v4(80), v4(5000), again);
  EXPECT_EQ(failed.step, ConnectStep::bind);
  EXPECT_EQ(failed.error, std::errc::address_in_use);

  User client("client", trace, std::move(connecting.channel));
  client.channel->close();
  EXPECT_NE(connect(v4(80), again, v4(5000)), nullptr);
  settle();
}

TEST_F(SimulatedBackendTest, ConnectsWaitForRoomInTheAcceptQueue) {
  Accepting accepting;
  const auto listener = listen(v4(80), accepting, 1);
  listener->stop_accepting();
  std::vector<Connecting> connecting(5);
  std::vector<std::unique_ptr<ConnectAttempt>> attempts;
  for (Connecting& events : connecting) attempts.push_back(connect(v4(80), events));
  settle();
  const auto connected = [&] {
    return std::ranges::count_if(connecting, [](const auto& events) { return !!events.channel; });
  };
  EXPECT_EQ(connected(), 2);
  EXPECT_TRUE(accepting.channels.empty());

  EXPECT_FALSE(listener->start_accepting(accepting, 1));
  EXPECT_EQ(backend->dispatch(), 0U);  // rule 1
  backend->wait(backend->now());
  EXPECT_EQ(backend->dispatch(), 2U);
  settle();
  EXPECT_EQ(connected(), 5);
  EXPECT_EQ(accepting.channels.size(), 5U);
}

TEST_F(SimulatedBackendTest, ConnectionsThatWaitForAListenerBreakWithIt) {
  Accepting accepting;
  auto listener = listen(v4(80), accepting, 0);
  listener->stop_accepting();
  Connecting queued;
  Connecting waiting;
  const auto first = connect(v4(80), queued);
  settle();
  const auto second = connect(v4(80), waiting);
  settle();
  ASSERT_TRUE(queued.channel);
  EXPECT_FALSE(waiting.done());

  listener.reset();
  User client("client", trace, std::move(queued.channel));
  client.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"client: failed reset"}));
  EXPECT_EQ(waiting.error, std::errc::connection_refused);
}

TEST_F(SimulatedBackendTest, AnAttemptCanBeDroppedAtEveryMoment) {
  for (int delay = 0; delay < 700; delay += 10) {
    Accepting accepting;
    Connecting connecting;
    const auto listener = listen(v4(0), accepting, 0);
    auto attempt = connect(listener->local_address(), connecting);
    const TimePoint end = backend->now() + microseconds(delay);
    while (backend->now() < end && !connecting.done()) {
      backend->wait(end);
      backend->dispatch();
    }
    attempt.reset();
    connecting.channel.reset();
    settle();
    // The listener has room again.
    Connecting other;
    const std::size_t accepted = accepting.channels.size();
    attempt = connect(listener->local_address(), other);
    settle();
    EXPECT_TRUE(other.channel);
    EXPECT_EQ(accepting.channels.size(), accepted + 1);
    EXPECT_EQ(bind_error(v4(5000)), std::error_code());
  }
}

TEST_F(SimulatedBackendTest, AttemptAndListenerMayGoInTheirOwnEvents) {
  Accepting accepting;
  Connecting connecting;
  Connecting refused;
  auto listener = listen(v4(80), accepting);
  auto other = backend->connect(v4(81), {}, refused).attempt;
  auto attempt = connect(v4(80), connecting);
  accepting.in_accepted = [&] { listener.reset(); };
  connecting.in_event = [&] { attempt.reset(); };
  refused.in_event = [&] { other.reset(); };
  settle();
  EXPECT_TRUE(connecting.channel);
  EXPECT_EQ(refused.error, std::errc::connection_refused);
  EXPECT_EQ(accepting.channels.size(), 1U);
  EXPECT_FALSE(bind_error(v4(80)));
}

TEST_F(SimulatedBackendTest, InterruptedAcceptingGoesOnInTheNextDispatch) {
  Accepting accepting;
  const auto listener = listen(v4(80), accepting);
  listener->stop_accepting();
  std::vector<Connecting> connecting(3);
  std::vector<std::unique_ptr<ConnectAttempt>> attempts;
  for (Connecting& events : connecting) attempts.push_back(connect(v4(80), events));
  settle();
  accepting.in_accepted = [&] {
    if (accepting.channels.size() == 1) backend->interrupt_dispatch();
    if (accepting.channels.size() == 2) listener->stop_accepting();
  };
  EXPECT_FALSE(listener->start_accepting(accepting, 100));
  backend->wait(backend->now());
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_TRUE(backend->has_pending_events());
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_FALSE(backend->has_pending_events());
  settle();
  EXPECT_EQ(accepting.channels.size(), 2U);
}

// --- Data ----------------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, CarriesBytesBothWaysAndTheEndAfterThem) {
  make_pair();
  left->channel->start_receiving();
  right->channel->start_receiving();
  left->send("ping");
  settle();
  right->send("pong");
  settle();
  left->send("bye");
  left->channel->shutdown_send();
  settle();
  right->send("more");
  settle();
  right->channel->shutdown_send();
  settle();
  EXPECT_EQ(events(), Trace({"right: received ping", "left: received pong", "right: received bye",
                             "right: eof", "left: received more", "left: eof"}));
  left->channel->close();
  right->channel->close();
  EXPECT_EQ(events(), Trace());  // rule 1
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: closed"}));
}

TEST_F(SimulatedBackendTest, WhatAVerbCausesComesAfterAnotherWait) {
  make_pair();
  left->send("x");
  settle();
  right->channel->start_receiving();
  EXPECT_EQ(backend->dispatch(), 0U);
  EXPECT_TRUE(backend->has_pending_events());
  backend->wait(std::nullopt);
  right->channel->stop_receiving();
  right->channel->start_receiving();
  EXPECT_EQ(backend->dispatch(), 0U);
  backend->wait(std::nullopt);
  right->channel->close();
  EXPECT_EQ(backend->dispatch(), 0U);
  backend->wait(std::nullopt);
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_EQ(events(), Trace({"right: closed"}));
}

TEST_F(SimulatedBackendTest, AChannelReceivesOnceADispatchInItsUsersBuffer) {
  make_pair();
  left->send("abcdefgh");
  settle();
  right->own_buffer.resize(3);
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: received abc", "right: received def", "right: received gh"}));
  EXPECT_EQ(text_of(right->last), "gh");  // the user's memory is left alone
}

#ifndef NDEBUG
TEST_F(SimulatedBackendTest, ScribblesOverItsOwnBufferInDebugBuilds) {
  make_pair();
  left->send("abc");
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, "abc");
  EXPECT_EQ(text_of(right->last), "\xdd\xdd\xdd");
}
#endif

TEST_F(SimulatedBackendTest, APausedChannelReadsNothing) {
  make_pair();
  right->channel->start_receiving();
  right->in_received = [&] { right->channel->stop_receiving(); };
  left->send("one");
  settle();
  left->send("two");
  left->channel->shutdown_send();
  settle();
  EXPECT_EQ(events(), Trace({"right: received one"}));
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: received two"}));
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: eof"}));
  right->channel->stop_receiving();
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace());
}

TEST_F(SimulatedBackendTest, NothingIsReceivedWhenTheUserStopsOrClosesWhenAskedForABuffer) {
  make_pair();
  left->send("x");
  right->in_receive_buffer = [&] { right->channel->stop_receiving(); };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace());
  right->in_receive_buffer = [&] { right->channel->close(); };
  right->refuse = true;
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed"}));
}

TEST_F(SimulatedBackendTest, StartingToReceiveWhenAskedForABufferCausesNoOtherEvent) {
  make_pair();
  left->send("x");
  right->in_receive_buffer = [&] { right->channel->start_receiving(); };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: received x"}));
}

TEST_F(SimulatedBackendTest, InterruptedDispatchKeepsTheRest) {
  make_pair();
  left->send("to right");
  right->send("to left");
  settle();
  left->channel->start_receiving();
  right->channel->start_receiving();
  left->in_received = [&] { backend->interrupt_dispatch(); };
  backend->wait(std::nullopt);
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_TRUE(backend->has_pending_events());
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_EQ(events(), Trace({"left: received to left", "right: received to right"}));
}

class SmallBuffers : public SimulatedBackendTest {
 protected:
  SmallBuffers() : SimulatedBackendTest({.seed = 3, .max_segment = 4, .buffer_size = 10}) {}
};

TEST_F(SmallBuffers, TrySendTakesWhatThereIsRoomFor) {
  make_pair();
  const std::vector<ConstBytes> pieces = {bytes_of("01234"), bytes_of(""), bytes_of("56789abc")};
  EXPECT_EQ(left->channel->try_send(pieces).sent, 10U);
  EXPECT_EQ(left->channel->try_send(pieces).sent, 0U);
  settle();
  EXPECT_EQ(left->channel->try_send(pieces).sent, 0U);  // arrived, but not read
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, "0123456789");
  EXPECT_EQ(left->channel->try_send(pieces).sent, 10U);
}

TEST_F(SmallBuffers, SendingGoesOnWhenThereIsRoom) {
  make_pair();
  std::string text;
  for (int number = 0; number < 500; ++number) text += std::to_string(number);
  left->send(text);
  settle();
  EXPECT_EQ(left->queue.size(), text.size() - 10);
  left->in_sent = [&] {
    if (left->queue.empty()) left->channel->shutdown_send();
  };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, text);
  EXPECT_GE(right->receive_events, static_cast<int>(text.size() / 10));
  EXPECT_EQ(trace.back(), "right: eof");
}

TEST_F(SmallBuffers, MoreCanBeSentFromInsideOnSent) {
  make_pair();
  left->send("0123456789ab");
  left->in_sent = [&] {
    if (!left->queue.empty()) return;
    left->in_sent = nullptr;
    left->send("ABCDEFGHIJKLMNOP");
  };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, "0123456789abABCDEFGHIJKLMNOP");
  EXPECT_FALSE(backend->has_pending_events());
}

TEST_F(SmallBuffers, AResetEndsASendThatWaitsForRoom) {
  make_pair();
  left->send("0123456789abc");
  settle();
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed", "left: failed reset"}));
}

TEST_F(SmallBuffers, SegmentsComeOneByOneOrTogether) {
  make_pair();
  right->channel->start_receiving();
  bool in_one_piece = false;
  for (int round = 0; round < 20; ++round) {
    left->send("01234567");  // two segments at the least
    settle();
    in_one_piece = in_one_piece || right->last.size() == 8;
  }
  EXPECT_TRUE(in_one_piece);
  EXPECT_GE(right->receive_events, 25);
}

// --- Ends ----------------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, CloseSendsWhatWasSentAndThenTheEnd) {
  make_pair();
  right->channel->start_receiving();
  left->send("last words");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: received last words", "right: eof"}));
}

TEST_F(SimulatedBackendTest, SendingToAClosedPeerWorksOnceAndThenFails) {
  make_pair();
  right->channel->start_receiving();
  left->channel->close();
  settle();
  right->send("is anybody there?");
  EXPECT_EQ(events(), Trace({"left: closed", "right: eof"}));
  settle();
  EXPECT_EQ(events(), Trace());
  right->send("hello?");
  EXPECT_EQ(events(), Trace({"right: send: broken pipe"}));
  settle();
  EXPECT_EQ(events(), Trace());  // told once
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed"}));
}

TEST_F(SimulatedBackendTest, AnErrorOfTrySendIsNotToldAgain) {
  make_pair();
  right->send("unread");
  settle();
  left->channel->close();
  settle();
  right->send("x");
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: send: reset"}));
}

TEST_F(SimulatedBackendTest, ClosingWithUnreadBytesResetsThePeer) {
  make_pair();
  left->channel->start_receiving();
  left->send("read before the reset");
  right->send("unread");
  settle();
  left.reset();  // received it: destroying only ends it
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: received unread", "right: received read before the reset",
                             "right: eof"}));

  make_pair();
  left->send("read before the reset");
  right->send("unread");
  settle();
  left->channel->close();
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: received read before the reset",
                             "right: failed reset"}));
}

TEST_F(SimulatedBackendTest, ClosingWhileBytesArriveResetsThePeer) {
  make_pair();
  left->channel->start_receiving();
  right->channel->start_receiving();
  right->send("on the way");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: failed reset"}));
}

// S13: while paused with nothing to write, a reset is not told until resume.
TEST_F(SimulatedBackendTest, AResetIsNotToldWhilePaused) {
  make_pair();
  right->send("unread");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed"}));
  EXPECT_FALSE(backend->has_pending_events());
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: failed reset"}));
}

TEST_F(SimulatedBackendTest, ClosingOnBothSidesAtOnceIsQuiet) {
  make_pair();
  left->send("a");
  right->send("b");
  left->channel->close();
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: closed"}));
}

TEST_F(SimulatedBackendTest, AChannelMayCloseInItsEventsAndGoInTheLast) {
  make_pair();
  right->channel->start_receiving();
  left->send("one");
  right->in_received = [&] { right->channel->close(); };
  right->in_closed = [&] { right->channel.reset(); };
  run_until([&] { return right->channel == nullptr; });
  left->channel->start_receiving();
  left->send("two");
  settle();
  EXPECT_EQ(events(), Trace({"right: received one", "right: closed", "left: eof"}));
}

TEST_F(SimulatedBackendTest, ChannelsMayGoWithoutEventsBeforeTheBackendGoes) {
  make_pair();
  left->send("on the way");
  right->channel->start_receiving();
  left->channel->start_receiving();
  right->channel->close();
  left.reset();
  right.reset();
  backend.reset();
  EXPECT_EQ(events(), Trace());
}

// --- Chance --------------------------------------------------------------------------------------

/// A run in which one side sends, stalls, pauses and ends at random: what happened, and when.
Trace random_run(std::uint64_t seed, std::uint64_t network_seed) {
  std::mt19937_64 random(seed);
  const auto chance = [&](std::uint64_t of) { return random() % of == 0; };
  auto backend = make_simulated_backend({.seed = network_seed,
                                         .max_segment = std::size_t{1} << random() % 12,
                                         .buffer_size = 1 + random() % 3000});
  Trace trace;
  Accepting accepting;
  Connecting connecting;
  auto listener = backend->bind(v6(0), {});
  EXPECT_FALSE(listener.value()->start_accepting(accepting, 0));
  const auto start = backend->connect(listener.value()->local_address(), {}, connecting);
  while (accepting.channels.empty()) {
    backend->wait(std::nullopt);
    backend->dispatch();
  }
  User left("left", trace, std::move(connecting.channel));
  User right("right", trace, std::move(accepting.channels[0]));
  right.own_buffer.resize(random() % 500);
  std::string text(random() % 20'000, '\0');
  for (char& character : text) character = static_cast<char>('a' + random() % 26);
  left.send(text);
  const auto left_done = [&] {
    if (left.queue.empty()) left.channel->shutdown_send();
  };
  left.in_sent = left_done;
  left_done();
  bool paused = true;
  for (int turns = 0; trace.empty() || trace.back() != "right: eof"; ++turns) {
    if (turns > 200'000) {
      ADD_FAILURE() << "stalled with seeds " << seed << ", " << network_seed;
      break;
    }
    if (chance(3)) {
      paused = !paused;
      paused ? right.channel->stop_receiving() : right.channel->start_receiving();
    }
    backend->wait(backend->now() + microseconds(random() % 300));
    const std::size_t before = trace.size();
    const std::size_t count = backend->dispatch();
    EXPECT_EQ(trace.size() - before, count);
    if (count > 0)
      trace.push_back("at " + std::to_string(backend->now().time_since_epoch().count()));
    if (trace.size() > 1 && trace[trace.size() - 2] == "right: eof") trace.pop_back();
  }
  EXPECT_EQ(right.received, text) << "seeds " << seed << ", " << network_seed;
  return trace;
}

/// A user that does what comes to its mind, and checks the rules of the seam.
class Monkey final : public StreamEvents {
 public:
  Monkey(std::mt19937_64& random, std::unique_ptr<StreamChannel> taken)
      : channel(std::move(taken)), random_(random) {
    channel->attach(*this);
  }

  std::optional<std::span<std::byte>> receive_buffer() noexcept override {
    check_event(receiving_ && !eof_);
    act();
    if (closed_) return std::nullopt;
    return std::span(buffer_).first(random_() % 9);
  }
  void on_received(ConstBytes bytes) noexcept override {
    check_event(receiving_ && !eof_ && !bytes.empty() && received_in != dispatch_number);
    received_in = dispatch_number;
    act();
  }
  void on_eof() noexcept override {
    check_event(receiving_ && !eof_);
    eof_ = true;
    act();
  }
  std::size_t unsent(std::span<ConstBytes> pieces) noexcept override {
    EXPECT_FALSE(closed_ || failed_);
    if (unsent_ == 0) return 0;
    pieces[0] = std::span(buffer_).first(unsent_);
    return 1;
  }
  void on_sent(std::size_t count) noexcept override {
    check_event(count > 0 && count <= unsent_);
    unsent_ -= count;
    act();
  }
  void on_failed(std::error_code error) noexcept override {
    check_event(!!error);
    failed_ = true;
    act();
  }
  void on_closed() noexcept override {
    EXPECT_TRUE(closed_ && !gone);
    gone = true;
    channel.reset();
  }

  void act() noexcept {
    if (closed_) return;
    const std::uint64_t choice = random_() % 40;
    if (choice < 10) {
      receiving_ = true;
      channel->start_receiving();
    } else if (choice < 15) {
      receiving_ = false;
      channel->stop_receiving();
    } else if (choice < 25 && unsent_ == 0 && !ended_ && !failed_) {
      send();
    } else if (choice == 25 && unsent_ == 0) {
      ended_ = true;
      channel->shutdown_send();
    } else if (choice == 26) {
      close();
    }
  }
  void close() noexcept {
    closed_ = true;
    channel->close();
  }

  std::unique_ptr<StreamChannel> channel;
  bool gone = false;
  std::size_t received_in = 0;
  static inline std::size_t dispatch_number = 0;

 private:
  void check_event(bool right) {
    EXPECT_TRUE(right);
    EXPECT_FALSE(closed_ || failed_);
  }
  void send() noexcept {
    const ConstBytes piece = std::span(buffer_).first(1 + random_() % buffer_.size());
    const SendResult result = channel->try_send({&piece, 1});
    if (result.error) {
      failed_ = true;
    } else if (result.sent < piece.size()) {
      unsent_ = piece.size() - result.sent;
      channel->start_sending();
    }
  }

  std::mt19937_64& random_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(64);
  std::size_t unsent_ = 0;
  bool receiving_ = false;
  bool eof_ = false;
  bool ended_ = false;
  bool failed_ = false;
  bool closed_ = false;
};

TEST(SimulatedBackendRuns, KeepTheRulesWhateverUsersDo) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto backend = make_simulated_backend({.seed = seed, .max_segment = 20, .buffer_size = 40});
    Accepting accepting;
    std::vector<Connecting> connecting(4);
    std::vector<std::unique_ptr<ConnectAttempt>> attempts;
    auto listener = backend->bind(v4(80), {});
    EXPECT_FALSE(listener.value()->start_accepting(accepting, 1));
    for (Connecting& events : connecting) {
      attempts.push_back(backend->connect(v4(80), {}, events).attempt);
    }
    const auto turn = [&] {
      backend->wait(backend->now() + microseconds(random() % 100));
      ++Monkey::dispatch_number;
      backend->dispatch();
    };
    while (accepting.channels.size() < connecting.size()) turn();
    std::vector<std::unique_ptr<Monkey>> monkeys;
    for (auto& channel : accepting.channels) {
      monkeys.push_back(std::make_unique<Monkey>(random, std::move(channel)));
    }
    for (Connecting& events : connecting) {
      monkeys.push_back(std::make_unique<Monkey>(random, std::move(events.channel)));
    }
    for (int turns = 0; turns < 300; ++turns) {
      monkeys[random() % monkeys.size()]->act();
      if (random() % 10 == 0) backend->interrupt_dispatch();
      turn();
    }
    for (const auto& monkey : monkeys) {
      if (monkey->channel != nullptr) monkey->close();
    }
    turn();
    EXPECT_TRUE(std::ranges::all_of(monkeys, [](const auto& monkey) { return monkey->gone; }));
  }
}

TEST(SimulatedBackendRuns, AreTheSameForTheSameSeed) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Trace trace = random_run(seed, 7);
    EXPECT_EQ(trace, random_run(seed, 7));
  }
}

TEST(SimulatedBackendRuns, DifferWithTheSeedOfTheNetwork) {
  EXPECT_NE(random_run(1, 1), random_run(1, 2));
}

TEST(SimulatedBackendRuns, TakeStrangeOptionsAsTheNearestThatMakeSense) {
  auto backend = make_simulated_backend({.min_delay = nanoseconds(-5),
                                         .max_delay = nanoseconds(-9),
                                         .max_segment = 0,
                                         .buffer_size = 0});
  Accepting accepting;
  Connecting connecting;
  auto listener = backend->bind(v4(0), {});
  EXPECT_FALSE(listener.value()->start_accepting(accepting, -1));
  const TimePoint start = backend->now();
  const auto connect = backend->connect(listener.value()->local_address(), {}, connecting);
  while (accepting.channels.empty()) {
    backend->wait(std::nullopt);
    backend->dispatch();
  }
  EXPECT_EQ(backend->now(), start);
  const ConstBytes piece = bytes_of("ab");
  EXPECT_EQ(connecting.channel->try_send({&piece, 1}).sent, 1U);
}

}  // namespace
}  // namespace weir
