// Chapter S, its second part: close(), abort(), and what ends a connection.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "every_stream.h"

namespace weir::test {

// S14, C9: close() shows at once, and twice is once.
TEST_P(EveryStream, IsClosingFromCloseOn) {
  auto [left, right] = connected_pair();
  EXPECT_FALSE(left.transport.is_closing());
  left.transport.close();
  EXPECT_TRUE(left.transport.is_closing());
  left.transport.close();
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_TRUE(left.transport.is_closing());
  EXPECT_EQ(left.calls, closed(calls("connection_made", "connection_lost")));
}

// S14: no data and no end after close() returned, not even bytes that arrived before.
TEST_P(EverySocket, ReceivesNothingAfterClose) {
  const CloggedPair pair = clogged_pair();
  pair.right.transport.write("never read");
  pair.right.transport.write_eof();
  pair.left.transport.close();
  settle();
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
}

// S14: close() in data_received() stops the delivery of what was received already.
TEST_P(EveryStream, ReceivesNothingAfterCloseInDataReceived) {
  auto [left, right] = connected_pair();
  right.buffer_size = 4;
  right.on("data_received", [&right = right] { right.transport.close(); });
  left.transport.write("a");
  run_until([&right = right] { return right.transport.is_closing(); });
  left.transport.write(pattern(1 * KiB));
  run_until([&] { return right.lost() && left.lost(); });
  EXPECT_EQ(right.calls, closed(calls("connection_made", "data_received:a", "connection_lost")));
}

// S15: close() flushes what was written, then connection_lost() comes without an error.
TEST_P(EveryStream, FlushesBeforeItCloses) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.close();
  settle();
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.left.calls, closed(calls("connection_made", "connection_lost")));
  EXPECT_EQ(pair.right.received.size(), pair.written);
  EXPECT_EQ(pair.right.calls.back(), "connection_lost");
}

// S15: a flush lasts for ever if the peer does not read; abort() ends it.
TEST_P(EveryStream, EndsAFlushWithAbort) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.close();
  settle();
  EXPECT_FALSE(pair.left.lost());
  pair.left.transport.abort();
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// B6: after a flush connection_lost() comes at once, before anything that was scheduled meanwhile.
TEST_P(EverySocket, IsLostRightAfterTheLastByteOfAFlush) {
  const CloggedPair pair = clogged_pair();
  Calls order;
  pair.left.on("resume_writing", [&] { loop().call_soon([&] { order.emplace_back("soon"); }); });
  pair.left.on("connection_lost", [&] { order.emplace_back("connection_lost"); });
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.transport.close();
  unclog(pair);
  run_until([&] { return order.size() == 2; });
  EXPECT_EQ(order, calls("connection_lost", "soon"));
}

// S16: an error during the flush drops the rest and is the reason.
TEST_P(EveryStream, GivesTheErrorOfAFlush) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.close();
  reset(pair.right, pair.left);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost:disconnected"));
}

// S17: abort() drops what was written at once, stops reading, and schedules connection_lost().
TEST_P(EveryStream, DropsEverythingAtAbort) {
  const CloggedPair pair = clogged_pair();
  pair.right.transport.write("never read");
  pair.left.transport.abort();
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  EXPECT_TRUE(pair.left.transport.is_closing());
  EXPECT_FALSE(pair.left.transport.is_reading());
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
  pair.left.transport.abort();
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// S17: what abort() dropped never reaches the peer.
TEST_P(EveryStream, SendsNothingAfterAbort) {
  const CloggedPair pair = clogged_pair();
  const std::size_t queued = pair.left.transport.get_write_buffer_size();
  pair.left.transport.abort();
  run_until([&] { return pair.left.lost(); });
  unclog(pair);
  run_until([&] { return pair.right.lost(); });
  EXPECT_LE(pair.right.received.size(), pair.written - queued);
}

// S18: closing with unread input does not lose anybody's connection_lost().
TEST_P(EveryStream, ClosesWithUnreadInput) {
  auto [left, right] = connected_pair();
  left.transport.pause_reading();
  right.transport.write("unread");
  settle();
  left.transport.close();
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost"));
}

// S19: a read error drops what was written, is the reason, and is not reported.
TEST_P(EveryStream, EndsWithAReadError) {
  const CloggedPair pair = clogged_pair();
  reset(pair.right, pair.left);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost:disconnected"));
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  EXPECT_EQ(take_reports(), calls());
}

// S20: an exception of data_received() ends the connection, is reported, and is the reason.
TEST_P(EveryStream, EndsWhenDataReceivedThrows) {
  auto [left, right] = connected_pair();
  right.on("data_received", [] { throw std::runtime_error("boom"); });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:x", "connection_lost:boom"));
  EXPECT_TRUE(right.reason.is_exception());
  EXPECT_EQ(what(right.reason.exception()), "boom");
  const std::vector<Report> reports = take_whole_reports();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].message + " [" + reports[0].exception + ']',
            fatal_error(data_callback(), "boom"));
  EXPECT_TRUE(reports[0].has_transport);
  EXPECT_TRUE(reports[0].has_protocol);
}

// S20, B5: it is the first cause also if the exception handler, which is told of it, ends the connection.
TEST_P(EveryStream, EndsForWhatWasThrownAlsoIfTheHandlerAborts) {
  auto [left, right] = connected_pair();
  right.on("data_received", [] { throw std::runtime_error("boom"); });
  bool was_closing = false;
  loop().set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    was_closing = context.transport->is_closing();
    context.transport->abort();
  });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:x", "connection_lost:boom"));
  EXPECT_TRUE(was_closing);
}

// S20: connection_lost() does not come from inside the callback that threw, but later.
TEST_P(EveryStream, DropsWhatWasWrittenWhenDataReceivedThrows) {
  const CloggedPair pair = clogged_pair();
  pair.left.once("data_received", [&] {
    pair.left.transport.write("dropped");
    throw std::runtime_error("boom");
  });
  pair.right.transport.write("x");
  run_until([&] { return pair.left.transport.is_closing(); });
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "data_received:x", "connection_lost:boom"));
  EXPECT_EQ(take_reports(), calls(fatal_error(data_callback(), "boom")));
}

// S20, S19: an exception that is an error of the system is not reported, but is the reason.
TEST_P(EveryStream, DoesNotReportSystemErrorsOfDataReceived) {
  auto [left, right] = connected_pair();
  const auto code = std::make_error_code(std::errc::host_unreachable);
  right.on("data_received", [code] { throw std::system_error(code, "no way"); });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.reason.code(), code);
  EXPECT_TRUE(right.reason.is_exception());
  EXPECT_TRUE(what(right.reason.exception()).starts_with("no way"));
}

// S20: an exception of no standard type ends the connection, too, and is kept whole.
TEST_P(EveryStream, KeepsExceptionsOfAnyType) {
  auto [left, right] = connected_pair();
  right.on("data_received", [] { throw 42; });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  ASSERT_TRUE(right.reason.is_exception());
  EXPECT_THROW(std::rethrow_exception(right.reason.exception()), int);
  EXPECT_EQ(take_reports().size(), 1U);
}

// S21: an exception of eof_received() is fatal as well.
TEST_P(EveryStream, EndsWhenEofReceivedThrows) {
  auto [left, right] = connected_pair();
  right.on("eof_received", [] { throw std::runtime_error("boom"); });
  end_stream(left);
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received", "connection_lost:boom"));
  EXPECT_EQ(take_reports(), calls(fatal_error("eof_received", "boom")));
}

// B5: an exception after close() in the same callback does not change the reason.
TEST_P(EveryStream, KeepsTheReasonOfACloseBeforeAnException) {
  auto [left, right] = connected_pair();
  right.on("data_received", [&right = right] {
    right.transport.abort(std::make_error_code(std::errc::timed_out));
    throw std::runtime_error("boom");
  });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.reason.code(), std::errc::timed_out);
  EXPECT_EQ(take_reports(), calls(fatal_error(data_callback(), "boom")));
}

// S8, S14, S17: a connection that another one's callback pauses, closes or aborts is told nothing more,
// though bytes, or the end, are there already.
TEST_P(EverySocket, IsSilentOnceAnotherConnectionsCallbackStoppedIt) {
  using Stop = void (*)(const Transport&);
  const Stop pause = [](const Transport& transport) { transport.pause_reading(); };
  const Stop close = [](const Transport& transport) { transport.close(); };
  const Stop abort = [](const Transport& transport) { transport.abort(); };
  for (const Stop stop : {pause, close, abort}) {
    for (const bool ends : {false, true}) {
      const Pair one = connected_pair();
      const Pair two = connected_pair();
      for (const auto& [pair, other] : {std::pair(&one, &two), std::pair(&two, &one)}) {
        const Transport& stopped = other->right.transport;
        pair->right.keep_open = true;
        pair->right.on("data_received", [&stopped, stop] { stop(stopped); });
        pair->right.on("eof_received", [&stopped, stop] { stop(stopped); });
        pair->right.transport.pause_reading();
        ends ? end_stream(pair->left) : pair->left.transport.write("x");
      }
      settle();
      one.right.transport.resume_reading();
      two.right.transport.resume_reading();
      settle();
      const std::string callback = ends ? "eof_received" : "data_received";
      EXPECT_EQ(one.right.count(callback) + two.right.count(callback), 1U);
    }
  }
}

// S17, F17: when both directions are ready in one iteration, an abort() in one silences the other.
TEST_P(EveryStream, IsSilentAfterAbortWhenBothDirectionsAreReady) {
  for (const std::string callback : {"data_received", "resume_writing"}) {
    const CloggedPair pair = clogged_pair();
    pair.left.transport.set_write_buffer_limits({.high = 0, .low = 0});
    pair.left.transport.set_write_buffer_limits({.high = 1 * MiB, .low = 1 * MiB});
    pair.left.transport.pause_reading();
    pair.left.on(callback, [&] { pair.left.transport.abort(); });
    pair.right.transport.write("x");
    settle();
    unclog(pair);
    pair.left.transport.resume_reading();
    run_until([&] { return pair.left.lost(); });
    ASSERT_GE(pair.left.calls.size(), 2U);
    EXPECT_TRUE((pair.left.calls.end() - 2)->starts_with(callback));
  }
}

// C10: an exception that the predicate calls fatal leaves the loop at once; it is not reported.
TEST_P(EveryStream, LetsFatalExceptionsOutOfTheLoop) {
  auto [left, right] = connected_pair();
  loop().set_fatal_exception_predicate(
      [](const std::exception_ptr& exception) { return what(exception) == "get me out"; });
  right.once("data_received", [] { throw std::runtime_error("get me out"); });
  left.transport.write("x");
  std::string escaped;
  try {
    run_until([&right = right] { return right.lost(); });
  } catch (const std::runtime_error& error) {
    escaped = error.what();
  }
  EXPECT_EQ(escaped, "get me out");
  EXPECT_EQ(take_reports(), calls());
  loop().set_fatal_exception_predicate({});
}

// S26: after write_eof() every write is refused, though what was written before it cannot be sent any more.
TEST_P(EverySocket, RefusesToWriteAfterAnEofThatNobodyWillHear) {
  auto [left, right] = connected_pair();
  left.transport.pause_reading();
  right.transport.abort();
  run_until([&right = right] { return right.lost(); });
  loop().call_soon([&left = left] {
    left.transport.write("for nobody");
    const bool noticed = left.transport.is_closing();
    left.transport.write_eof();
    if (!noticed) {
      EXPECT_THROW(left.transport.write("more"), WrongStateError);
    }
    left.transport.abort();
  });
  run_until([&left = left] { return left.lost(); });
}

}  // namespace weir::test
