// Chapter B: what every protocol is told, and when.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "every_stream.h"

namespace weir::test {
namespace {

/// What a recorder does when a test lets it throw.
[[noreturn]] void boom() { throw std::runtime_error("boom"); }

}  // namespace

// B1: connection_made() comes from the loop, never from inside the call that makes the connection.
TEST_P(EveryStream, MakesConnectionsFromTheLoopOnly) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  with_protocols([&](auto protocol_of) {
    Server server = run_until_done(maker().listen(loop(), protocol_of(right)));
    auto future = maker().connect(loop(), protocol_of(left), server.sockets().at(0).sockname);
    EXPECT_EQ(left.calls, calls());
    run_until([&] { return left.made() && right.made(); });
    server.close();
  });
  EXPECT_EQ(left.calls, calls("connection_made"));
  EXPECT_EQ(right.calls, calls("connection_made"));
}

// B1, B2: connection_made() is the first callback, connection_lost() the last, each comes once.
TEST_P(EveryStream, TellsTheWholeLifeOfAConnection) {
  auto [left, right] = connected_pair();
  right.on("data_received", [&right] { right.transport.write("y"); });
  left.transport.write("x");
  run_until([&] { return left.received == "y"; });
  left.transport.close();
  run_until([&] { return left.lost() && right.lost(); });
  settle();
  EXPECT_EQ(left.calls, closed(calls("connection_made", "data_received:y", "connection_lost")));
  EXPECT_EQ(right.calls,
            calls("connection_made", "data_received:x", "eof_received", "connection_lost"));
}

// B2: nothing is delivered after connection_lost(), whatever was pending.
TEST_P(EveryStream, DeliversNothingAfterAnAbortInConnectionMade) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  left.on("connection_made", [&] { left.transport.abort(); });
  right.on("connection_made", [&] { right.transport.write("too late"); });
  connect(left, right);
  run_until([&] { return left.lost(); });
  settle();
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost"));
}

// B2: bytes that wait in the kernel when a connection is closed are not delivered any more.
TEST_P(EverySocket, DeliversNothingThatWasPendingAtClose) {
  auto [left, right] = connected_pair();
  right.transport.write("pending");
  right.transport.write_eof();
  left.transport.close();
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost"));
}

// B5: the reason is empty for close(), for abort(), and for the peer's end of stream.
TEST_P(EveryStream, GivesNoReasonForARegularEnd) {
  auto [left, right] = connected_pair();
  left.transport.close();
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_FALSE(left.reason);
  EXPECT_FALSE(right.reason);

  auto [aborted, other] = connected_pair();
  aborted.transport.abort();
  run_until([&] { return aborted.lost(); });
  EXPECT_FALSE(aborted.reason);
}

// B5: otherwise the reason is the failure, here the one abort() was given.
TEST_P(EveryStream, GivesTheReasonOfAnAbort) {
  auto [left, right] = connected_pair();
  left.transport.abort(std::make_error_code(std::errc::timed_out));
  run_until([&] { return left.lost(); });
  EXPECT_EQ(left.reason.code(), std::errc::timed_out);
  EXPECT_FALSE(left.reason.is_exception());
}

// B5: the first cause wins; a later abort() with another one does not change it.
TEST_P(EveryStream, KeepsTheFirstReason) {
  auto [left, right] = connected_pair();
  left.transport.abort(std::make_error_code(std::errc::timed_out));
  left.transport.abort(std::make_error_code(std::errc::host_unreachable));
  left.transport.close();
  run_until([&] { return left.lost(); });
  EXPECT_EQ(left.reason.code(), std::errc::timed_out);
}

// B5: also if that was a close().
TEST_P(EverySocket, KeepsTheEmptyReasonOfAClose) {
  auto [left, right] = connected_pair();
  left.transport.close();
  left.transport.abort(std::make_error_code(std::errc::timed_out));
  run_until([&left = left] { return left.lost(); });
  EXPECT_FALSE(left.reason);
}

// B6: connection_lost() is never called from inside close() or abort(); it is scheduled.
TEST_P(EveryStream, SchedulesConnectionLost) {
  for (const bool aborts : {false, true}) {
    auto [left, right] = connected_pair();
    aborts ? left.transport.abort() : left.transport.close();
    EXPECT_EQ(left.calls, calls("connection_made"));
    run_until([&] { return left.lost() && right.lost(); });
    const Calls all = calls("connection_made", "connection_lost");
    EXPECT_EQ(left.calls, aborts ? all : closed(all));
  }
}

// B7: inside connection_lost() the names are still known; afterwards the protocol is let go.
TEST_P(EveryStream, LetsGoOfTheProtocolOnceTheConnectionIsLost) {
  auto [left, right] = connected_pair();
  const auto peername = left.transport.get_extra_info<Address>("peername");
  std::optional<Address> peername_at_the_end;
  int alive_at_the_end = 0;
  left.on("connection_lost", [&, &left = left] {
    peername_at_the_end = left.transport.get_extra_info<Address>("peername");
    alive_at_the_end = left.protocols_alive;
  });
  left.transport.close();
  run_until([&] { return left.lost() && left.protocols_alive == 0; });
  EXPECT_TRUE(peername.has_value());
  EXPECT_EQ(peername_at_the_end, peername);
  EXPECT_EQ(alive_at_the_end, 1);
  EXPECT_EQ(left.transport.get_extra_info<Address>("peername"), std::nullopt);
}

// B7: the descriptor is closed once connection_lost() has returned, also if it throws.
TEST_P(EveryStream, ClosesTheDescriptorAfterConnectionLostThrew) {
  settle();  // the connection it uses is there before descriptors are counted
  const std::size_t before = open_descriptors();
  auto [left, right] = connected_pair();
  left.on("connection_lost", boom);
  left.transport.close();
  run_until([&] { return left.protocols_alive == 0 && right.protocols_alive == 0; });
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(take_reports(), calls("Exception in callback [boom]"));
}

// B8: at the start come connection_made(), the completion of the opener, and then data, even if
// that had arrived before.
TEST_P(EveryStream, CompletesTheOpenerBeforeTheFirstData) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  Calls order;
  left.on("connection_made", [&] { order.emplace_back("connection_made"); });
  left.once("data_received", [&] { order.emplace_back("data_received"); });
  right.on("connection_made", [&] { right.transport.write("early"); });
  with_protocols([&](auto protocol_of) {
    Server server = run_until_done(maker().listen(loop(), protocol_of(right)));
    auto future = maker().connect(loop(), protocol_of(left), server.sockets().at(0).sockname);
    future.add_done_callback([&](const auto&) { order.emplace_back("done"); });
    run_until([&] { return left.received == "early"; });
    server.close();
  });
  EXPECT_EQ(order, calls("connection_made", "done", "data_received"));
}

// B9: an exception of connection_made() is reported; the connection stays open and is read.
TEST_P(EverySocket, StaysOpenWhenConnectionMadeThrows) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  left.on("connection_made", boom);
  right.on("connection_made", boom);
  connect(left, right);
  left.transport.write("x");
  right.transport.write("y");
  run_until([&] { return left.received == "y" && right.received == "x"; });
  EXPECT_EQ(left.calls, calls("connection_made", "data_received:y"));
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:x"));
  EXPECT_EQ(take_reports(), calls("Exception in callback [boom]", "Exception in callback [boom]"));
}

// B10: an exception of connection_lost() is reported, and does not change what comes after it.
TEST_P(EveryStream, CleansUpWhenConnectionLostThrows) {
  auto [left, right] = connected_pair();
  left.on("connection_lost", boom);
  left.transport.close();
  run_until([&] { return left.protocols_alive == 0 && right.lost(); });
  EXPECT_EQ(left.calls, closed(calls("connection_made", "connection_lost")));
  EXPECT_EQ(left.transport.get_protocol(), nullptr);
  EXPECT_EQ(take_reports(), calls("Exception in callback [boom]"));
}

// B11: what the client's factory throws fails the opener, and the socket is closed.
TEST_P(EverySocket, FailsTheOpenerWithWhatTheFactoryThrows) {
  Recorder& right = new_recorder("right");
  Server server = run_until_done(
      maker().listen(loop(), [&] { return std::make_shared<RecordingProtocol>(right); }));
  auto future = maker().connect(
      loop(), []() -> std::shared_ptr<Protocol> { throw std::runtime_error("no protocol"); },
      server.sockets().at(0).sockname);
  run_until([&] { return future.done() && right.lost(); });
  EXPECT_EQ(what(future.exception()), "no protocol");
  EXPECT_EQ(right.count("data_received"), 0U);
  server.close();
}

// B11: what a server's factory throws closes that connection only; it is reported in debug mode.
TEST_P(EverySocket, ClosesTheAcceptedConnectionWhoseFactoryThrows) {
  Recorder& first = new_recorder("first");
  Recorder& second = new_recorder("second");
  Recorder& served = new_recorder("served");
  bool throws = true;
  Server server = run_until_done(maker().listen(loop(), [&] {
    if (throws) throw std::runtime_error("no protocol");
    return std::make_shared<RecordingProtocol>(served);
  }));
  const Address address = server.sockets().at(0).sockname;
  auto one = maker().connect(
      loop(), [&] { return std::make_shared<RecordingProtocol>(first); }, address);
  run_until([&] { return first.lost(); });
  EXPECT_EQ(take_reports(), calls());

  loop().set_debug(true);
  auto two = maker().connect(
      loop(), [&] { return std::make_shared<RecordingProtocol>(second); }, address);
  run_until([&] { return second.lost(); });
  loop().set_debug(false);
  EXPECT_EQ(take_reports(),
            calls("Error on transport creation for incoming connection [no protocol]"));

  throws = false;
  Recorder& third = new_recorder("third");
  auto three = maker().connect(
      loop(), [&] { return std::make_shared<RecordingProtocol>(third); }, address);
  run_until([&] { return third.made() && served.made(); });
  server.close();
  take_logs();  // debug mode may log what it likes
}

// B12: set_protocol() takes effect at once; the new protocol is not told of connection_made(), and
// gets everything else, connection_lost() included.
TEST_P(EveryStream, HandsTheConnectionToAnotherProtocol) {
  auto [left, right] = connected_pair();
  Recorder& heir = new_recorder("heir");
  left.transport.write("x");
  run_until([&right = right] { return right.received == "x"; });
  hand_over(right, heir);
  left.transport.write("y");
  run_until([&] { return heir.received == "y"; });
  left.transport.close();
  run_until([&] { return heir.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:x"));
  EXPECT_EQ(heir.calls, calls("data_received:y", "eof_received", "connection_lost"));
}

// B12: reading stays paused, or active, as it was.
TEST_P(EveryStream, KeepsReadingPausedOverASwitch) {
  auto [left, right] = connected_pair();
  Recorder& heir = new_recorder("heir");
  right.transport.pause_reading();
  hand_over(right, heir);
  EXPECT_FALSE(heir.transport.is_reading());
  left.transport.write("x");
  settle();
  EXPECT_EQ(heir.calls, calls());
  heir.transport.resume_reading();
  run_until([&] { return heir.received == "x"; });
}

// B12: the protocol that is switched away is destroyed later, from the loop, not under its own
// feet.
TEST_P(EveryStream, DestroysTheOldProtocolLater) {
  auto [left, right] = connected_pair();
  Recorder& heir = new_recorder("heir");
  int alive_inside = -1;
  right.once("data_received", [&, &right = right] {
    hand_over(right, heir);
    alive_inside = right.protocols_alive;
  });
  left.transport.write("x");
  run_until([&right = right] { return right.protocols_alive == 0; });
  EXPECT_EQ(alive_inside, 1);
}

// B12: a switch while the connection is being flushed gives connection_lost() to the new protocol.
TEST_P(EveryStream, HandsOverWhileFlushing) {
  const CloggedPair pair = clogged_pair();
  Recorder& heir = new_recorder("heir");
  pair.left.transport.close();
  hand_over(pair.left, heir);
  unclog(pair);
  run_until([&] { return heir.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
  EXPECT_EQ(heir.calls, closed(calls("connection_lost")));
  EXPECT_EQ(pair.right.received.size(), pair.written);
}

// B12: so does a switch when connection_lost() is scheduled already.
TEST_P(EveryStream, HandsOverWhenConnectionLostIsScheduled) {
  auto [left, right] = connected_pair();
  Recorder& heir = new_recorder("heir");
  left.transport.abort();
  hand_over(left, heir);
  run_until([&] { return heir.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made"));
  EXPECT_EQ(heir.calls, calls("connection_lost"));
}

// B12: no protocol at all is an invalid argument.
TEST_P(EveryStream, RefusesToBeWithoutAProtocol) {
  auto [left, right] = connected_pair();
  EXPECT_THROW(left.transport.set_protocol(AnyProtocol()), std::invalid_argument);
  right.transport.write("x");
  run_until([&left = left] { return left.received == "x"; });
}

// B13: bytes not yet delivered go to the new protocol; those delivered are not delivered again.
TEST_P(EveryStream, DeliversEachByteToOneProtocol) {
  auto [left, right] = connected_pair();
  Recorder& heir = new_recorder("heir");
  right.buffer_size = 10;
  right.once("data_received", [&, &right = right] { hand_over(right, heir); });
  const std::string sent = pattern(100 * KiB);
  left.transport.write(sent);
  run_until(
      [&, &right = right] { return right.received.size() + heir.received.size() == sent.size(); });
  EXPECT_EQ(right.received + heir.received, sent);
}

// B14: the new protocol is not told of an existing pause, but gets the resume.
TEST_P(EveryStream, KeepsThePauseOfWritingOverASwitch) {
  const CloggedPair pair = clogged_pair();
  Recorder& heir = new_recorder("heir");
  pair.left.transport.set_write_buffer_limits({.high = 0});
  hand_over(pair.left, heir);
  heir.transport.write("x");
  unclog(pair);
  run_until([&] { return heir.count("resume_writing") == 1; });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
  EXPECT_EQ(heir.calls, calls("resume_writing"));
}

// B15: callbacks a protocol does not define do nothing, and eof_received() is false.
TEST_P(EverySocket, HasDefaultsForEveryCallback) {
  struct Silent : Protocol {};
  struct SilentBuffered : BufferedProtocol {
    std::span<std::byte> get_buffer(std::ptrdiff_t) override { return bytes; }
    void buffer_updated(std::size_t) override {}
    std::array<std::byte, 4> bytes{};
  };
  Recorder& left = new_recorder("left");
  Recorder& other = new_recorder("other");
  connect_with([&] { return std::make_shared<RecordingProtocol>(left); },
               [] { return std::make_unique<Silent>(); });
  connect_with([&] { return std::make_shared<RecordingProtocol>(other); },
               [] { return SilentBuffered(); });
  run_until([&] { return left.made() && other.made(); });
  for (Recorder* recorder : {&left, &other}) {
    recorder->transport.write("nobody looks at this");
    recorder->transport.write_eof();
    run_until([&] { return recorder->lost(); });
    EXPECT_EQ(recorder->calls, calls("connection_made", "eof_received", "connection_lost"));
  }
}

// B18: what a callback starts goes on by itself, also after its connection is lost.
TEST_P(EveryStream, DoesNotWaitForWhatCallbacksStart) {
  auto [left, right] = connected_pair();
  Future<int> work = loop().create_future<int>();
  right.on("data_received", [&, &right = right] {
    loop().call_soon([&] { work.set_result(static_cast<int>(right.calls.size())); });
    right.transport.abort();
  });
  left.transport.write("x");
  run_until([&, &right = right] { return right.lost() && work.done(); });
  EXPECT_GE(work.result(), 2);
}

// B19, C7: a connection lives on the loop alone: nobody has to hold its transport or its protocol.
TEST_P(EveryStream, KeepsConnectionsAliveThatNobodyHolds) {
  Recorder& left = new_recorder("left");
  struct Echo {
    void connection_made(Transport made) { transport = made; }
    void data_received(std::span<const std::byte> data) { transport.write(data); }
    Transport transport;
  };
  connect_with([&] { return std::make_shared<RecordingProtocol>(left); }, [] { return Echo(); });
  run_until([&] { return left.made(); });
  left.transport.write("is anybody there?");
  run_until([&] { return left.received == "is anybody there?"; });
}

}  // namespace weir::test
