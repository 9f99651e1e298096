#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "endpoint_support.h"

// Several addresses: N4, N5, N7, N8. On the simulated network "localhost" has two of them, ::1 and
// 127.0.0.1, in this order, and time is virtual, so that it can be compared.
namespace weir::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class Addresses : public EndpointTest {
 protected:
  void SetUp() override { open({}); }

  /// A loop on a network in which each packet takes from `min_delay` to `max_delay`.
  void open(nanoseconds min_delay, nanoseconds max_delay, std::uint64_t seed = 1) {
    open({.seed = seed, .link = {.min_delay = min_delay, .max_delay = max_delay}});
  }

  /// What connecting to localhost:`port` ends as, and after which time.
  struct Ended {
    std::string outcome;
    nanoseconds after;
  };
  Ended connect_to_localhost(std::uint16_t port, ConnectOptions options = {}) {
    const auto start = loop().time();
    Recorder& client = new_client();
    auto future = start_connecting(client, "localhost", port, std::move(options));
    future.add_done_callback([&, this](const auto&) { done_at_ = loop().time(); });
    const std::string ended = outcome_of(future);
    iterate(1);
    if (ended == "result") {
      peer = client.transport.get_extra_info<Address>("peername").value().host();
    }
    return {ended, done_at_ - start};
  }

  /// A port that nobody listens on.
  std::uint16_t free_port() {
    const Server server = listen();
    const std::uint16_t port = port_of(server);
    server.close();
    return port;
  }

  std::string peer;  ///< of the last connection

 private:
  void open(SimulationOptions options) {
    open_loop({.backend = BackendKind::simulated, .simulation = options});
  }

  EventLoop::TimePoint done_at_{};
};

const std::string refused = std::make_error_code(std::errc::connection_refused).message();

// N4: addresses are tried in the resolver's order.
TEST_F(Addresses, AreTriedInOrder) {
  const std::uint16_t port = free_port();
  const Server four = listen("127.0.0.1", port);
  EXPECT_EQ(connect_to_localhost(port).outcome, "result");
  EXPECT_EQ(peer, "127.0.0.1");
  const Server six = listen("::1", port);
  EXPECT_EQ(connect_to_localhost(port).outcome, "result");
  EXPECT_EQ(peer, "::1");
}

// N5: several different errors are one error that keeps them all, in order.
TEST_F(Addresses, FailWithAllTheirErrors) {
  const std::uint16_t port = free_port();
  auto future = start_connecting(new_client(), "localhost", port);
  run_until([&] { return future.done(); });
  try {
    future.result();
    ADD_FAILURE() << "connected";
  } catch (const AggregateError& error) {
    ASSERT_EQ(error.errors().size(), 2U);
    EXPECT_NE(std::string(error.errors()[0].what()).find("[::1]:" + std::to_string(port)),
              std::string::npos);
    EXPECT_NE(std::string(error.errors()[1].what()).find("127.0.0.1:" + std::to_string(port)),
              std::string::npos);
    EXPECT_NE(std::string(error.what()).find("Multiple exceptions: "), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("[::1]"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("127.0.0.1"), std::string::npos) << error.what();
    EXPECT_EQ(error.code(), std::errc::connection_refused);
  }
}

// N6: for each address only local entries of its family are tried.
TEST_F(Addresses, ArePairedWithLocalOnesOfTheirFamily) {
  const std::uint16_t port = free_port();
  const Server both = listen({"::1", "127.0.0.1"}, port);
  EXPECT_EQ(connect_to_localhost(port, {.local_addr = LocalAddress{.host = "127.0.0.1"}}).outcome,
            "result");
  EXPECT_EQ(peer, "127.0.0.1");
  EXPECT_EQ(connect_to_localhost(port, {.local_addr = LocalAddress{.host = "::1"}}).outcome,
            "result");
  EXPECT_EQ(peer, "::1");
}

/// A network in which an answer takes exactly 200 ms.
class Racing : public Addresses {
 protected:
  void SetUp() override { open(100ms, 100ms); }
};

// N4, N8: without a delay the second address is tried when the first was refused; with one, after
// the delay.
TEST_F(Racing, StartsTheSecondAttemptAfterTheDelay) {
  const std::uint16_t port = free_port();
  const Server four = listen("127.0.0.1", port);
  EXPECT_EQ(connect_to_localhost(port).after, 400ms);
  EXPECT_EQ(connect_to_localhost(port, {.happy_eyeballs_delay = 50ms}).after, 250ms);
  EXPECT_EQ(connect_to_localhost(port, {.happy_eyeballs_delay = 0ms}).after, 200ms);
  EXPECT_EQ(peer, "127.0.0.1");
}

// N8: a failure starts the next attempt at once.
TEST_F(Racing, StartsTheSecondAttemptWhenTheFirstFails) {
  const std::uint16_t port = free_port();
  const Server four = listen("127.0.0.1", port);
  EXPECT_EQ(connect_to_localhost(port, {.happy_eyeballs_delay = 10s}).after, 400ms);
}

// N8: the first success wins; the other attempt is cancelled, and its peer hears of a connection
// that ends, or of none.
TEST_F(Racing, IsWonByTheFirst) {
  const std::uint16_t port = free_port();
  const Server both = listen({"::1", "127.0.0.1"}, port);
  const Ended ended = connect_to_localhost(port, {.happy_eyeballs_delay = 50ms});
  EXPECT_EQ(ended.outcome, "result");
  EXPECT_EQ(ended.after, 200ms);
  EXPECT_EQ(peer, "::1");
  const auto later = loop().time() + 10s;
  run_until([&] { return loop().time() >= later; });
  std::size_t open = 0;
  for (const Recorder& recorder : accepted) open += recorder.made() && !recorder.lost() ? 1 : 0;
  EXPECT_EQ(open, 1U);
}

// N8: no second attempt is made when the first succeeds before the delay.
TEST_F(Racing, StartsNoSecondAttemptOnceItIsWon) {
  const std::uint16_t port = free_port();
  const Server both = listen({"::1", "127.0.0.1"}, port);
  EXPECT_EQ(connect_to_localhost(port, {.happy_eyeballs_delay = 201ms}).after, 200ms);
  const auto later = loop().time() + 10s;
  run_until([&] { return loop().time() >= later; });
  EXPECT_EQ(accepted.size(), 1U);
}

// N8, N5: when all attempts fail, all errors are told.
TEST_F(Racing, FailsWhenAllAttemptsFail) {
  const std::uint16_t port = free_port();
  const Ended ended = connect_to_localhost(port, {.happy_eyeballs_delay = 50ms});
  EXPECT_EQ(ended.outcome, "AggregateError");
  EXPECT_EQ(ended.after, 250ms);
}

// N9: cancelling ends all attempts; no timer and no connection is left.
TEST_F(Racing, IsCancelledWithAllItsAttempts) {
  const std::uint16_t port = free_port();
  const Server both = listen({"::1", "127.0.0.1"}, port);
  for (const nanoseconds after : std::vector<nanoseconds>{0ns, 20ms, 60ms, 150ms}) {
    Recorder& client = new_client();
    auto future = start_connecting(client, "localhost", port, {.happy_eyeballs_delay = 50ms});
    const auto when = loop().time() + after;
    loop().call_at(when, [&] { EXPECT_TRUE(future.cancel()); });
    EXPECT_EQ(outcome_of(future), "cancelled");
    const auto later = loop().time() + 10s;
    run_until([&] { return loop().time() >= later; });
    EXPECT_EQ(client.calls, Calls());
    for (const Recorder& recorder : accepted) EXPECT_EQ(recorder.made(), recorder.lost());
    EXPECT_EQ(loop().next_deadline(), std::nullopt);
  }
}

// N8: whatever the network does, exactly one attempt wins, and its connection works.
TEST(RacingAnywhere, IsWonByExactlyOne) {
  const auto race = [](std::uint64_t seed) {
    EventLoop loop({.backend = BackendKind::simulated,
                    .simulation = {.seed = seed, .link = {.min_delay = 0ns, .max_delay = 1s}}});
    std::deque<Recorder> accepted;
    const Server server = run_until_done(
        loop, create_server(
                  loop,
                  [&] {
                    auto& recorder = accepted.emplace_back(loop, ProtocolKind::stream, "accepted");
                    return std::make_shared<RecordingProtocol>(recorder);
                  },
                  {"::1", "127.0.0.1"}, 4242));
    Recorder client(loop, ProtocolKind::stream, "client");
    run_until_done(
        loop, create_connection(loop, [&] { return std::make_shared<RecordingProtocol>(client); },
                                "localhost", 4242, {.happy_eyeballs_delay = 100ms}));
    const std::string peer = client.transport.get_extra_info<Address>("peername")->host();
    client.transport.write("hello");
    const auto later = loop.time() + 15s;
    run_until(loop, [&] { return loop.time() >= later; });
    std::size_t open = 0;
    for (const Recorder& recorder : accepted) {
      if (recorder.made() && !recorder.lost()) ++open;
      if (!recorder.lost()) {
        EXPECT_EQ(recorder.received, "hello");
      }
      EXPECT_EQ(recorder.violations, Calls());
    }
    EXPECT_EQ(open, 1U) << "seed " << seed;
    loop.close();
    return peer;
  };
  std::set<std::string> winners;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) winners.insert(race(seed));
  EXPECT_EQ(winners, (std::set<std::string>{"127.0.0.1", "::1"}));
}

}  // namespace
}  // namespace weir::test
