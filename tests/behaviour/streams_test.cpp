// Chapter S, its first half: receiving, the end of the stream, and pausing.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "every_stream.h"
#include "loop_support.h"

namespace weir::test {

// S1: connection_made, data_received, eof_received at most once, connection_lost.
TEST_P(EverySocket, CallsInTheOrderOfAStream) {
  auto [left, right] = connected_pair();
  left.transport.write("hello");
  left.transport.write(" world");
  left.transport.write_eof();
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:hello world", "eof_received",
                               "connection_lost"));
  EXPECT_EQ(left.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// S2: bytes arrive in order, all of them; chunks are never empty.
TEST_P(EveryStream, DeliversBytesInOrder) {
  auto [left, right] = connected_pair();
  const std::string sent = pattern(3 * MiB);
  left.transport.write(sent);
  end_stream(left);
  run_until([&right = right] { return right.lost(); });
  EXPECT_TRUE(right.received == sent);
}

// S2: both directions at once do not get mixed up.
TEST_P(EveryStream, DeliversBothDirectionsAtOnce) {
  auto [left, right] = connected_pair();
  const std::string to_right = pattern(1 * MiB, 1);
  const std::string to_left = pattern(1 * MiB, 2);
  left.transport.write(to_right);
  right.transport.write(to_left);
  run_until([&] {
    return left.received.size() == to_left.size() && right.received.size() == to_right.size();
  });
  EXPECT_TRUE(right.received == to_right);
  EXPECT_TRUE(left.received == to_left);
}

// S3: no callback gets more than 256 KiB.
TEST_P(EveryStream, DeliversAtMost256KiBAtOnce) {
  auto [left, right] = connected_pair();
  std::size_t before = 0;
  std::size_t largest = 0;
  right.buffer_size = 1 * MiB;  // a buffer of one's own sets the bound itself
  right.on("data_received", [&, &right = right] {
    largest = std::max(largest, right.received.size() - before);
    before = right.received.size();
  });
  right.transport.pause_reading();
  left.transport.write(pattern(3 * MiB));
  settle();
  right.transport.resume_reading();
  run_until([&right = right] { return right.received.size() == 3 * MiB; });
  EXPECT_LE(largest, buffered() ? right.buffer_size : 256 * KiB);
}

// S3: a busy connection does not starve the others.
TEST_P(EveryStream, IsFairToOtherConnections) {
  auto [busy, sink] = connected_pair();
  auto [left, right] = connected_pair();
  const std::string lump = pattern(256 * KiB);
  const auto refill = [&busy = busy, &lump] {
    while (busy.transport.get_write_buffer_size() < 1 * MiB) busy.transport.write(lump);
  };
  sink.on("data_received", refill);
  refill();
  run_until([&sink = sink] { return sink.received.size() > 1 * MiB; });
  for (std::size_t round = 1; round <= 10; ++round) {
    left.transport.write("x");
    run_until([&, &right = right] { return right.received.size() == round; });
  }
}

// S4: eof_received() comes once when the peer ends its side; pausing and resuming does not repeat
// it.
TEST_P(EverySocket, TellsTheEndOnceEvenAfterPauseAndResume) {
  auto [left, right] = connected_pair();
  right.keep_open = true;
  left.transport.write_eof();
  run_until([&right = right] { return right.count("eof_received") == 1; });
  for (int round = 0; round < 3; ++round) {
    right.transport.pause_reading();
    settle();
    right.transport.resume_reading();
    settle();
  }
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received"));
}

// S4: nor does set_protocol(), of either kind.
TEST_P(EverySocket, TellsTheEndOnceEvenAfterASwitch) {
  auto [left, right] = connected_pair();
  Recorder& second = new_recorder("second");
  Recorder& third = new_recorder("third");
  right.keep_open = true;
  left.transport.write_eof();
  run_until([&right = right] { return right.count("eof_received") == 1; });
  hand_over(right, second, ProtocolKind::stream);
  settle();
  hand_over(second, third, ProtocolKind::buffered);
  third.transport.pause_reading();
  third.transport.resume_reading();
  settle();
  third.transport.close();
  run_until([&] { return third.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received"));
  EXPECT_EQ(second.calls, calls());
  EXPECT_EQ(third.calls, calls("connection_lost"));
}

// S5: a false result closes the transport as close() does: what was written is flushed first.
TEST_P(EverySocket, FlushesWhenTheEndClosesTheTransport) {
  const CloggedPair pair = clogged_pair();
  pair.right.transport.write_eof();
  run_until([&] { return pair.left.count("eof_received") == 1; });
  EXPECT_TRUE(pair.left.transport.is_closing());
  EXPECT_FALSE(pair.left.lost());
  unclog(pair);
  run_until([&] { return pair.left.lost(); });
  run_until([&] { return pair.right.lost(); });
  EXPECT_EQ(pair.right.received.size(), pair.written);
  EXPECT_EQ(pair.left.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// S5: what eof_received() itself writes before it returns false is flushed, too.
TEST_P(EverySocket, FlushesWhatTheEndCallbackWrites) {
  auto [left, right] = connected_pair();
  right.on("eof_received", [&right = right] { right.transport.write("goodbye"); });
  left.keep_open = true;
  left.transport.write_eof();
  run_until([&left = left] { return left.count("eof_received") == 1; });
  EXPECT_EQ(left.calls, calls("connection_made", "data_received:goodbye", "eof_received"));
}

// S5: a true result keeps it open for writing; it is neither closing nor paused.
TEST_P(EverySocket, StaysOpenForWritingAfterTheEndIfAsked) {
  auto [left, right] = connected_pair();
  right.keep_open = true;
  left.transport.write_eof();
  run_until([&right = right] { return right.count("eof_received") == 1; });
  EXPECT_FALSE(right.transport.is_closing());
  EXPECT_TRUE(right.transport.is_reading());
  right.transport.write("still here");
  run_until([&left = left] { return left.received == "still here"; });
  EXPECT_FALSE(left.lost());
  right.transport.close();
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(left.calls, calls("connection_made", "data_received:still here", "eof_received",
                              "connection_lost"));
}

// S7: the end of the stream waits while reading is paused, and comes after all data.
TEST_P(EveryStream, HoldsTheEndBackWhilePaused) {
  auto [left, right] = connected_pair();
  right.transport.pause_reading();
  left.transport.write("last words");
  end_stream(left);
  settle();
  EXPECT_EQ(right.calls, calls("connection_made"));
  right.transport.resume_reading();
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:last words", "eof_received",
                               "connection_lost"));
}

// S8: after pause_reading() nothing is delivered until resume_reading(), and then nothing is
// missing.
TEST_P(EveryStream, DeliversNothingWhilePaused) {
  auto [left, right] = connected_pair();
  right.transport.pause_reading();
  left.transport.write("hello");
  settle();
  EXPECT_EQ(right.calls, calls("connection_made"));
  right.transport.resume_reading();
  run_until([&right = right] { return right.received == "hello"; });
}

// S8: a pause from inside data_received() holds from then on, though more bytes are there.
TEST_P(EveryStream, DeliversNothingMoreAfterAPauseInDataReceived) {
  auto [left, right] = connected_pair();
  right.buffer_size = 10;
  std::size_t at_pause = 0;
  right.on("data_received", [&, &right = right] {
    right.transport.pause_reading();
    at_pause = right.received.size();
  });
  const std::string sent = pattern(4 * MiB);
  left.transport.write(sent);
  for (int round = 0; round < 5; ++round) {
    run_until([&, &right = right] { return right.received.size() > at_pause || at_pause > 0; });
    settle();
    EXPECT_EQ(right.received.size(), at_pause);
    at_pause = 0;
    right.transport.resume_reading();
  }
  right.forget_actions();
  run_until([&, &right = right] {
    right.buffer_size = 64 * KiB;
    right.transport.resume_reading();
    return right.received.size() == sent.size();
  });
  EXPECT_TRUE(right.received == sent);
}

// S9: pausing twice, and resuming twice, is once.
TEST_P(EveryStream, PausesAndResumesIdempotently) {
  auto [left, right] = connected_pair();
  right.transport.resume_reading();
  right.transport.pause_reading();
  right.transport.pause_reading();
  EXPECT_FALSE(right.transport.is_reading());
  right.transport.resume_reading();
  right.transport.resume_reading();
  EXPECT_TRUE(right.transport.is_reading());
  left.transport.write("x");
  run_until([&right = right] { return right.received == "x"; });
}

// S9: on a closing transport both do nothing.
TEST_P(EveryStream, DoesNotPauseOrResumeWhenClosing) {
  const CloggedPair pair = clogged_pair();
  pair.right.transport.write("never read");
  pair.left.transport.close();
  pair.left.transport.resume_reading();
  pair.left.transport.pause_reading();
  pair.left.transport.resume_reading();
  EXPECT_FALSE(pair.left.transport.is_reading());
  settle();
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
}

// S9, S14: resuming what was paused before close() brings nothing back while it flushes.
TEST_P(EveryStream, DoesNotResumeReadingWhenClosing) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.pause_reading();
  pair.right.transport.write("never read");
  pair.left.transport.close();
  pair.left.transport.resume_reading();
  settle();
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
}

// S10: pause_reading() inside connection_made() is honoured.
TEST_P(EveryStream, CanPauseInConnectionMade) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  for (Recorder* recorder : {&left, &right}) {
    recorder->on("connection_made", [recorder] {
      recorder->transport.pause_reading();
      recorder->transport.write("hello");
    });
  }
  connect(left, right);
  settle();
  EXPECT_EQ(left.calls, calls("connection_made"));
  EXPECT_EQ(right.calls, calls("connection_made"));
  EXPECT_FALSE(left.transport.is_reading());
  left.transport.resume_reading();
  right.transport.resume_reading();
  run_until([&] { return left.received == "hello" && right.received == "hello"; });
}

// S11: resume_reading() delivers nothing before it returns.
TEST_P(EveryStream, DeliversInALaterIterationAfterResume) {
  auto [left, right] = connected_pair();
  right.transport.pause_reading();
  left.transport.write("hello");
  settle();
  right.transport.resume_reading();
  EXPECT_EQ(right.calls, calls("connection_made"));
  run_until([&right = right] { return right.received == "hello"; });
}

// S11: nor does it from inside a callback.
TEST_P(EveryStream, DeliversLaterAfterResumeInACallback) {
  auto [left, right] = connected_pair();
  right.buffer_size = 4;
  right.on("data_received", [&right = right] {
    const std::size_t before = right.received.size();
    right.transport.pause_reading();
    right.transport.resume_reading();
    EXPECT_EQ(right.received.size(), before);
  });
  left.transport.write("hello world");
  run_until([&right = right] { return right.received == "hello world"; });
}

// S11: data that arrived together with what made the other one resume comes in a later iteration, too.
TEST_P(EveryStream, DeliversLaterAfterResumeInAnotherOnesCallback) {
  auto [left, right] = connected_pair();
  auto [other_left, other_right] = connected_pair();
  Journal journal;
  right.transport.pause_reading();
  right.on("data_received", [&] { journal.calls.push_back("data"); });
  other_right.on("data_received", [&, &right = right] {
    right.transport.resume_reading();
    journal.calls.push_back("resumed");
    loop().call_soon(journal.note("soon"));
  });
  other_left.transport.write("resume");
  left.transport.write("hello");
  run_until([&right = right] { return right.received == "hello"; });
  // TLS need not ask the system first, if the data was there already.
  if (maker().is_tls()) std::erase(journal.calls, "soon");
  EXPECT_EQ(journal.calls,
            maker().is_tls() ? calls("resumed", "data") : calls("resumed", "soon", "data"));
}

// S11: nor does it in the turn in which it was resumed, whoever has resumed and paused it before.
TEST_P(EveryStream, DeliversLaterAfterResumingAgain) {
  auto [left, right] = connected_pair();
  Journal journal;
  right.transport.pause_reading();
  right.on("data_received", [&] { journal.calls.push_back("data"); });
  left.transport.write("hello");
  settle();
  loop().call_soon([&, &right = right] {
    right.transport.resume_reading();
    journal.calls.push_back("resumed");
  });
  right.transport.resume_reading();
  right.transport.pause_reading();
  loop().run_once();
  EXPECT_EQ(journal.calls, calls("resumed"));
  run_until([&right = right] { return right.received == "hello"; });
}

// S12: is_reading() is "not paused and not closing".
TEST_P(EveryStream, IsReadingUntilPausedOrClosing) {
  auto [left, right] = connected_pair();
  EXPECT_TRUE(left.transport.is_reading());
  left.transport.pause_reading();
  EXPECT_FALSE(left.transport.is_reading());
  left.transport.resume_reading();
  EXPECT_TRUE(left.transport.is_reading());
  left.transport.close();
  EXPECT_FALSE(left.transport.is_reading());
}

// S13: a paused and idle connection that the peer has reset does not make the loop spin.
TEST_P(EveryStream, DoesNotSpinWhilePausedOnAResetConnection) {
  auto [left, right] = connected_pair();
  left.transport.pause_reading();
  reset(right, left);
  run_until([&right = right] { return right.lost(); });
  settle();
  std::size_t ran = 0;
  for (int round = 0; round < 100; ++round) ran += loop().run_once();
  EXPECT_LT(ran, 10U);
}

// S13: while paused with bytes to send, a reset is noticed through the write side.
TEST_P(EveryStream, NoticesAResetThroughPendingWritesWhilePaused) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.pause_reading();
  reset(pair.right, pair.left);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost:disconnected"));
}

// S13: otherwise a reset is noticed at the latest when reading is resumed.
TEST_P(EveryStream, NoticesAResetWhenReadingIsResumed) {
  auto [left, right] = connected_pair();
  left.transport.pause_reading();
  reset(right, left);
  run_until([&right = right] { return right.lost(); });
  left.transport.resume_reading();
  run_until([&left = left] { return left.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost:disconnected"));
}

// S31: a reset by the peer is the reason; no end of the stream comes before it.
TEST_P(EveryStream, GivesAResetByThePeerAsTheReason) {
  auto [left, right] = connected_pair();
  reset(right, left);
  run_until([&left = left] { return left.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost:disconnected"));
  EXPECT_EQ(left.reason.code(), std::errc::connection_reset);
}

}  // namespace weir::test
