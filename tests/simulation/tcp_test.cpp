#include <algorithm>
#include <vector>

#include "simulation_support.h"

// What users can tell of TCP, over links that fail in chosen moments.
namespace weir::simulation_test {
namespace {

/// A server and a client on hosts of their own, 10 ms apart, and both ends of a connection between them.
class SimulatedTcp : public testing::Test {
 protected:
  explicit SimulatedTcp(SimulationOptions options = {.link = {.min_delay = 10ms, .max_delay = 10ms},
                                                     .max_segment = 1000,
                                                     .buffer_size = 64'000})
      : network(options),
        right_host(network.add_host("right")),
        left_host(network.add_host("left")),
        right_loop({.host = right_host}),
        left_loop({.host = left_host}) {}

  void connect(ServerOptions options = {}) {
    server = right_loop.run_until_complete(create_server(
        right_loop, [this] { return std::make_shared<EndProtocol>(right); }, "10.0.0.1", 80,
        options));
    connect_again(left);
    EXPECT_TRUE(network.run_until([&] { return right.made; }));
    network.run_for(1s);
  }
  void connect_again(End& end, ConnectOptions options = {}) {
    left_loop.run_until_complete(create_connection(
        left_loop, [&end] { return std::make_shared<EndProtocol>(end); }, "right", 80, options));
  }
  /// What `f` takes of virtual time.
  template <class F>
  nanoseconds time_of(F f) {
    const nanoseconds before = network.elapsed();
    EXPECT_TRUE(network.run_until(f));
    return network.elapsed() - before;
  }
  std::error_code bind_error(bool reuse_address) {
    try {
      right_loop
          .run_until_complete(
              create_server<Echo>(right_loop, "10.0.0.1", 80, {.reuse_address = reuse_address}))
          .close();
      return {};
    } catch (const std::system_error& error) {
      return error.code();
    }
  }

  SimulatedNetwork network;
  SimulatedHost right_host;
  SimulatedHost left_host;
  EventLoop right_loop;
  EventLoop left_loop;
  Server server;
  End right;
  End left;
};

// --- Loss -----------------------------------------------------------------------------------------

TEST_F(SimulatedTcp, ALostSegmentIsSentAgainAfterATimeout) {
  connect();
  network.partition_one_way(left_host, right_host);
  left.transport.write("lost");
  network.run_for(20ms);
  network.heal();
  EXPECT_EQ(right.received, "");
  // 200 ms after it was sent, for the round trip is short; and 10 ms on its way.
  EXPECT_EQ(time_of([&] { return right.received == "lost"; }), 190ms);
}

TEST_F(SimulatedTcp, TimeoutsGrow) {
  connect();
  network.partition(left_host, right_host);
  left.transport.write("lost");
  network.run_for(2s);  // tried again after 200, 600, 1,400 ms, and 3,000
  network.heal();
  EXPECT_EQ(time_of([&] { return right.received == "lost"; }), 1010ms);
}

TEST_F(SimulatedTcp, ALossIsNoticedByWhatComesAfterIt) {
  connect();
  network.partition_one_way(left_host, right_host);
  left.transport.write("1");
  network.run_for(15ms);
  network.heal();
  for (const std::string text : {"2", "3", "4"}) left.transport.write(text);
  EXPECT_EQ(time_of([&] { return right.received == "1234"; }),
            30ms);  // there, back, and there again
}

TEST_F(SimulatedTcp, ALostAcknowledgementDoesNoHarm) {
  connect();
  network.partition_one_way(right_host, left_host);
  left.transport.write("heard");
  EXPECT_EQ(time_of([&] { return right.received == "heard"; }), 10ms);
  network.run_for(1ms);
  network.heal();
  network.run_for(10s);
  EXPECT_EQ(right.received, "heard");
  right.transport.write("and");
  EXPECT_EQ(time_of([&] { return left.received == "and"; }), 10ms);
}

TEST_F(SimulatedTcp, ALostEndIsSentAgain) {
  connect();
  network.partition(left_host, right_host);
  left.transport.write("bye");
  left.transport.close();
  network.run_for(100ms);
  EXPECT_TRUE(left.lost);
  EXPECT_FALSE(right.ended);
  network.heal();
  EXPECT_TRUE(network.run_until([&] { return right.lost; }, 10s));
  EXPECT_EQ(right.received, "bye");
  EXPECT_TRUE(right.ended);
  EXPECT_FALSE(right.reason);
}

TEST_F(SimulatedTcp, LostWordOfNewRoomIsAskedFor) {
  connect();
  right.transport.pause_reading();
  const std::string text = pattern(300'000);
  left.transport.write(text);
  network.run_for(1s);
  EXPECT_GT(left.transport.get_write_buffer_size(), 200'000U);
  network.partition_one_way(right_host, left_host);
  right.transport.resume_reading();
  network.run_for(50ms);
  EXPECT_EQ(right.received.size(), 64'000U);
  network.heal();
  EXPECT_TRUE(network.run_until([&] { return right.received.size() == text.size(); }, 10s));
  EXPECT_EQ(right.received, text);
}

TEST_F(SimulatedTcp, EveryHandshakeAndEndSurvivesABadLink) {
  network.set_link(
      left_host, right_host,
      {.min_delay = 1ms, .max_delay = 20ms, .loss = 0.3, .duplicate = 0.2, .reorder = 0.3});
  server = right_loop.run_until_complete(create_server<Echo>(right_loop, "10.0.0.1", 80));
  for (int number = 0; number < 100; ++number) {
    SCOPED_TRACE(number);
    End end;
    connect_again(end);
    end.transport.write("request");
    ASSERT_TRUE(network.run_until([&] { return end.received == "request"; }));
    if (number % 2 == 0) end.transport.write_eof();
    if (number % 2 == 1) end.transport.close();
    ASSERT_TRUE(network.run_until([&] { return end.lost; }));
    EXPECT_FALSE(end.reason);
  }
}

// --- Flow control ---------------------------------------------------------------------------------

TEST_F(SimulatedTcp, TheWindowHoldsBackTheSender) {
  connect();
  right.transport.pause_reading();
  left.transport.write(pattern(200'000));
  network.run_for(10s);
  EXPECT_EQ(left.transport.get_write_buffer_size(), 200'000U - 64'000U);
  right.transport.resume_reading();
  EXPECT_TRUE(network.run_until([&] { return right.received.size() == 200'000; }, 10s));
  EXPECT_EQ(left.transport.get_write_buffer_size(), 0U);
}

TEST_F(SimulatedTcp, TheWindowLimitsWhatIsUnderWay) {
  connect();
  left.transport.write(pattern(640'000));
  // A window each round trip of 20 ms, ten of them; acknowledged as each segment arrives.
  const nanoseconds took = time_of([&] { return right.received.size() == 640'000; });
  EXPECT_GE(took, 180ms);
  EXPECT_LE(took, 220ms);
}

// --- Ends -----------------------------------------------------------------------------------------

TEST_F(SimulatedTcp, ClosingWithUnreadDataResets) {
  connect();
  right.transport.pause_reading();
  left.transport.write("unread");
  network.run_for(1s);
  right.transport.abort();
  EXPECT_TRUE(network.run_until([&] { return left.lost; }, 1s));
  EXPECT_EQ(left.reason.code(), std::errc::connection_reset);
}

TEST_F(SimulatedTcp, DataForOneThatClosedIsAnsweredByAReset) {
  connect();
  right.transport.abort();
  left.transport.write("on its way");
  network.run_for(1s);
  // The end came first.
  EXPECT_TRUE(left.ended);
  EXPECT_TRUE(left.lost);
}

TEST_F(SimulatedTcp, WhoClosedFirstLingers) {
  connect();
  server.close();
  EXPECT_EQ(bind_error(false), std::errc::address_in_use);  // of the connection
  EXPECT_FALSE(bind_error(true));
  right.transport.close();
  EXPECT_TRUE(network.run_until([&] { return left.lost; }, 1s));
  network.run_for(59s);
  EXPECT_EQ(bind_error(false), std::errc::address_in_use);
  network.run_for(2s);
  EXPECT_FALSE(bind_error(false));
}

TEST_F(SimulatedTcp, WhoClosedSecondDoesNot) {
  connect();
  server.close();
  left.transport.close();
  EXPECT_TRUE(network.run_until([&] { return right.lost; }, 1s));
  network.run_for(1s);
  EXPECT_FALSE(bind_error(false));
}

TEST_F(SimulatedTcp, ALingeringNameIsFreeForANewConnection) {
  connect();
  const ConnectOptions from{.local_addr = LocalAddress{"10.0.0.2", 5000}};
  End first;
  connect_again(first, from);
  network.run_for(1s);
  right.transport.close();  // the last that was accepted: the server's end lingers
  EXPECT_TRUE(network.run_until([&] { return first.lost; }, 1s));
  network.run_for(1s);
  End second;
  connect_again(second, from);
  EXPECT_TRUE(second.made);
}

TEST_F(SimulatedTcp, KeepAliveFindsOutThatThePeerIsGone) {
  connect({.keep_alive = true});
  network.crash(left_host);
  EXPECT_TRUE(network.run_until([&] { return right.lost; }, 24h));
  EXPECT_EQ(right.reason.code(), std::errc::timed_out);
  EXPECT_EQ(network.elapsed() / 1min, 120 + 11);  // 2 hours, and nine probes of 75 s
}

TEST_F(SimulatedTcp, KeepAliveFindsOutAlthoughSomethingWasOnItsWay) {
  connect({.keep_alive = true});
  left.transport.write("last words");
  network.crash(left_host);
  EXPECT_TRUE(network.run_until([&] { return right.lost; }, 24h));
  EXPECT_EQ(right.received, "last words");
  EXPECT_EQ(right.reason.code(), std::errc::timed_out);
}

TEST_F(SimulatedTcp, WhoWaitsForRoomFindsOutThatThePeerIsGone) {
  connect();
  right.transport.pause_reading();
  left.transport.write(pattern(300'000));
  network.run_for(1s);
  network.crash(right_host);
  EXPECT_TRUE(network.run_until([&] { return left.lost; }, 1h));
  EXPECT_EQ(left.reason.code(), std::errc::timed_out);
}

TEST_F(SimulatedTcp, WhatIsSentToAFullBacklogArrivesLater) {
  connect({.backlog = 0});
  std::vector<std::unique_ptr<End>> ends;
  std::vector<Future<Connection<EndProtocol>>> openings;
  right.received.clear();
  for (int number = 0; number < 4; ++number) {
    End& end = *ends.emplace_back(std::make_unique<End>());
    openings.push_back(create_connection(
        left_loop, [&end] { return std::make_shared<EndProtocol>(end); }, "right", 80));
  }
  EXPECT_TRUE(network.run_until(
      [&] { return std::ranges::all_of(ends, [](const auto& end) { return end->made; }); }));
  for (const auto& end : ends) end->transport.write("x");
  EXPECT_TRUE(network.run_until([&] { return right.received == "xxxx"; }, 5min));
}

TEST_F(SimulatedTcp, LossInBothDirectionsIsMadeUpFor) {
  network.set_link(
      left_host, right_host,
      {.min_delay = 1ms, .max_delay = 2ms, .loss = 0.2, .duplicate = 0.3, .reorder = 0.3});
  connect();
  const std::string text = pattern(100'000);
  left.transport.write(text);
  right.transport.write(text);
  EXPECT_TRUE(network.run_until([&] { return right.received == text && left.received == text; }));
}

TEST_F(SimulatedTcp, KeepAliveFindsOutThatThePeerIsThere) {
  connect({.keep_alive = true});
  network.partition(left_host, right_host);
  network.run_for(1h);
  network.heal();
  network.run_for(24h);
  EXPECT_FALSE(right.lost);
  left.transport.write("still here");
  EXPECT_TRUE(network.run_until([&] { return right.received == "still here"; }, 1s));
}

TEST_F(SimulatedTcp, AConnectionFromBeforeACrashDoesNotMixWithANewOne) {
  connect();
  const ConnectOptions from{.local_addr = LocalAddress{"10.0.0.2", 5000}};
  End first;
  connect_again(first, from);
  network.run_for(1s);
  network.crash(left_host);
  network.restart(left_host);
  EventLoop anew({.host = left_host});
  right.received.clear();
  End second;
  anew.run_until_complete(create_connection(
      anew, [&] { return std::make_shared<EndProtocol>(second); }, "right", 80, from));
  second.transport.write("new");
  EXPECT_TRUE(network.run_until([&] { return right.received == "new"; }, 10s));
}

}  // namespace
}  // namespace weir::simulation_test
