// C7 and B17: handles name a transport, keep nothing alive, and are safe for ever.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>

#include "every_stream.h"

namespace weir::test {
namespace {

/// Every method, on a handle whose transport is gone: none does anything. [B17]
void expect_closed_for_good(const Transport& handle) {
  handle.write("dropped");
  handle.write("");
  handle.write(Buffer(std::string("dropped")));
  handle.writelines({as_bytes("dropped")});
  handle.write_eof();
  handle.write("dropped");  // even after write_eof()
  handle.close();
  handle.abort();
  handle.abort(std::make_error_code(std::errc::timed_out));
  handle.pause_reading();
  handle.resume_reading();
  handle.set_write_buffer_limits({.high = 1});
  struct Silent : Protocol {};
  handle.set_protocol(std::make_shared<Silent>());
  EXPECT_TRUE(handle.is_closing());
  EXPECT_FALSE(handle.is_reading());
  EXPECT_EQ(handle.get_write_buffer_size(), 0U);
  EXPECT_EQ(handle.get_protocol(), nullptr);
  EXPECT_EQ(handle.get_extra_info("peername"), ExtraInfo());
  EXPECT_EQ(handle.get_extra_info("peername", true), ExtraInfo(true));
}

}  // namespace

// B17: after connection_lost() every method is safe.
TEST_P(EveryStream, HandlesAreSafeAfterTheConnection) {
  auto [left, right] = connected_pair();
  const Transport copy = left.transport;
  left.transport.close();
  run_until([&left = left] { return left.protocols_alive == 0; });
  expect_closed_for_good(copy);
  settle();
  EXPECT_EQ(left.calls, closed(calls("connection_made", "connection_lost")));
}

// B17: a dead handle drops writes without a word.
TEST_P(EveryStream, DeadHandlesDoNotWarn) {
  auto [left, right] = connected_pair();
  left.transport.abort();
  run_until([&left = left] { return left.protocols_alive == 0; });
  for (int write = 0; write < 10; ++write) left.transport.write("dropped");
  EXPECT_EQ(take_logs(), calls());
}

// C7: also when the loop is gone, whatever state the transport was in.
TEST_P(EveryStream, HandlesAreSafeAfterTheLoop) {
  const CloggedPair pair = clogged_pair();
  const Transport open = pair.right.transport;
  const Transport flushing = pair.left.transport;
  flushing.close();
  loop().close();
  expect_closed_for_good(open);
  expect_closed_for_good(flushing);
  destroy_loop();
  expect_closed_for_good(open);
  expect_closed_for_good(flushing);
  EXPECT_EQ(pair.left.calls, calls("connection_made"));  // L6: no callbacks
  EXPECT_EQ(pair.right.calls, calls("connection_made"));
  EXPECT_EQ(pair.left.protocols_alive, 0);
}

// L6, C7: a connection_lost() that is scheduled when the loop is closed does not come.
TEST_P(EveryStream, LosesNothingAfterTheLoop) {
  auto [left, right] = connected_pair();
  left.transport.abort();
  right.transport.close();
  loop().close();
  EXPECT_EQ(left.calls, calls("connection_made"));
  EXPECT_EQ(right.calls, calls("connection_made"));
  expect_closed_for_good(left.transport);
}

// L6, C7: protocols are destroyed with the loop, and find dead handles when they are.
TEST_P(EveryStream, ProtocolsFindDeadHandlesWhenTheLoopGoes) {
  struct Guest : Protocol {
    explicit Guest(bool& closed) : was_closing(closed) {}
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    ~Guest() override {
      was_closing = transport.is_closing();
      transport.write("dropped");
      transport.close();
    }
    void connection_made(Transport made) override { transport = made; }
    Transport transport;
    bool& was_closing;
  };
  bool left_was_closing = false;
  bool right_was_closing = false;
  connect_with([&] { return std::make_shared<Guest>(left_was_closing); },
               [&] { return std::make_shared<Guest>(right_was_closing); });
  loop().close();
  EXPECT_TRUE(left_was_closing);
  EXPECT_TRUE(right_was_closing);
}

// B17: a default-constructed handle behaves as a closed transport.
TEST_P(EveryStream, DefaultHandlesAreClosed) {
  expect_closed_for_good(Transport());
  EXPECT_EQ(Transport(), Transport());
  auto [left, right] = connected_pair();
  EXPECT_NE(left.transport, Transport());
}

// C7: copies name the same transport; those of different transports differ.
TEST_P(EveryStream, HandlesCompareByTransport) {
  auto [left, right] = connected_pair();
  const Transport copy = left.transport;
  EXPECT_EQ(copy, left.transport);
  EXPECT_NE(left.transport, right.transport);
  const std::unordered_set<Transport> room{left.transport, right.transport, copy};
  EXPECT_EQ(room.size(), 2U);
  EXPECT_TRUE(room.contains(copy));
}

// C7: a stale handle never names a newer connection.
TEST_P(EveryStream, StaleHandlesDoNotNameNewConnections) {
  auto [left, right] = connected_pair();
  const Transport stale = left.transport;
  left.transport.abort();
  run_until([&] { return left.protocols_alive == 0 && right.protocols_alive == 0; });
  for (int round = 0; round < 3; ++round) {
    auto [new_left, new_right] = connected_pair();
    EXPECT_NE(stale, new_left.transport);
    stale.write("for nobody");
    stale.abort();
    new_left.transport.write("x");
    run_until([&new_right = new_right] { return new_right.received == "x"; });
  }
}

// C7: the loop keeps the transport, and the transport its protocol, until connection_lost() returned.
TEST_P(EveryStream, HandlesKeepNothingAlive) {
  auto [left, right] = connected_pair();
  std::weak_ptr<BaseProtocol> protocol = left.transport.get_protocol();
  EXPECT_FALSE(protocol.expired());
  left.transport.close();
  EXPECT_FALSE(protocol.expired());
  run_until([&left = left] { return left.lost(); });
  run_until([&] { return protocol.expired(); });
  EXPECT_TRUE(left.transport.is_closing());
}

// C7: a protocol that its user keeps outlives the transport.
TEST_P(EveryStream, ProtocolsMayOutliveTheirTransport) {
  auto [left, right] = connected_pair();
  std::shared_ptr<BaseProtocol> kept = left.transport.get_protocol();
  left.transport.close();
  run_until([&left = left] { return left.lost(); });
  run_until([&] { return kept.use_count() == 1; });
  EXPECT_EQ(left.protocols_alive, 1);
}

// C1: a handle may be copied on another thread, and carried back to the loop.
TEST_P(EveryStream, HandlesTravelThroughThreads) {
  auto [left, right] = connected_pair();
  std::jthread([this, transport = left.transport] {
    loop().call_soon_threadsafe([copy = transport] { copy.write("from a thread"); });
  }).join();
  run_until([&right = right] { return right.received == "from a thread"; });
}

#ifndef NDEBUG
// C1: debug builds refuse the use of a live transport on another thread than the loop's.
TEST_P(EveryStream, DebugBuildsRefuseOtherThreads) {
  auto [left, right] = connected_pair();
  bool refused = false;
  left.once("data_received", [&refused, &left = left] {
    std::jthread([&refused, transport = left.transport] {
      try {
        transport.write("x");
      } catch (const WrongStateError&) {
        refused = true;
      }
    }).join();
  });
  right.transport.write("now");
  run_until([&left = left] { return left.received == "now"; });
  settle();
  EXPECT_TRUE(refused);
  EXPECT_EQ(right.received, "");
}
#endif

}  // namespace weir::test
