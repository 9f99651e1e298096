// Chapter S, its last part: write(), writelines(), write_eof(), and writes that come too late.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <weir/weir.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "every_stream.h"

namespace weir::test {
namespace {

/// A buffer with the bytes of `text`, which counts its releases.
Buffer counted_buffer(const std::string& text, int& releases) {
  return Buffer(as_bytes(text), [&releases] { ++releases; });
}

/// [S27, T21]
std::string too_late(const StreamMaker& maker) {
  return maker.is_tls() ? "warning: SSL connection is closed"
                        : "warning: socket.send() raised exception.";
}

}  // namespace

// S22: write() never blocks, whatever the peer does, and keeps the order.
TEST_P(EveryStream, QueuesWhatCannotBeSent) {
  auto [left, right] = connected_pair();
  right.transport.pause_reading();
  std::string sent;
  for (unsigned seed = 0; seed < 40 || left.transport.get_write_buffer_size() == 0; ++seed) {
    const std::string lump = pattern(100 * KiB, seed);
    left.transport.write(lump);
    sent += lump;
  }
  EXPECT_GT(left.transport.get_write_buffer_size(), 0U);
  right.transport.resume_reading();
  run_until([&, &right = right] { return right.received.size() == sent.size(); });
  EXPECT_TRUE(right.received == sent);
}

// S22: while the kernel takes nothing the loop waits for it, without trying again and again.
TEST_P(EveryStream, DoesNotSpinWhileNothingCanBeSent) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.write(pattern(8 * MiB));
  const std::size_t queued = pair.left.transport.get_write_buffer_size();
  unclog(pair);
  run_until([&] { return pair.left.transport.get_write_buffer_size() < queued; });
  pair.right.transport.pause_reading();
  settle();
  ASSERT_GT(pair.left.transport.get_write_buffer_size(), 0U);
  std::size_t ran = 0;
  for (int round = 0; round < 100; ++round) ran += loop().run_once();
  EXPECT_LT(ran, 10U);
  EXPECT_FALSE(pair.left.lost());
}

// S22: with an empty queue the bytes are sent at once: nothing is queued.
TEST_P(EveryStream, SendsAtOnceWhatTheKernelTakes) {
  auto [left, right] = connected_pair();
  left.transport.write("hello");
  EXPECT_EQ(left.transport.get_write_buffer_size(), 0U);
  left.transport.close();
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.received, "hello");
}

// S22: write() and close() in connection_made() are fine.
TEST_P(EveryStream, WritesAndClosesInConnectionMade) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  right.on("connection_made", [&] {
    right.transport.write("hello");
    right.transport.close();
  });
  connect(left, right);
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(left.calls,
            calls("connection_made", "data_received:hello", "eof_received", "connection_lost"));
  EXPECT_EQ(right.calls, closed(calls("connection_made", "connection_lost")));
}

// C6: the bytes may be changed as soon as write() returned; the wire has the old ones.
TEST_P(EveryStream, CopiesWhatItCannotSendAtOnce) {
  const CloggedPair pair = clogged_pair();
  std::string mine = "mine";
  std::string lines = "too";
  pair.left.transport.write(mine);
  pair.left.transport.writelines({as_bytes(lines)});
  mine.assign("XXXX");
  lines.assign("XXX");
  unclog(pair);
  run_until([&] { return pair.right.received.size() == pair.written + 7; });
  EXPECT_EQ(pair.right.received.substr(pair.written), "minetoo");
}

// C6: a Buffer is released once, after it was sent at once.
TEST_P(EveryStream, ReleasesABufferThatWasSent) {
  auto [left, right] = connected_pair();
  int releases = 0;
  const std::string text = "hello";
  left.transport.write(counted_buffer(text, releases));
  EXPECT_EQ(releases, 1);
  run_until([&right = right] { return right.received == "hello"; });
  EXPECT_EQ(releases, 1);
}

// C6: a Buffer that is queued is kept as it is, and released once it has been sent.
TEST_P(EveryStream, KeepsAQueuedBufferUntilItIsSent) {
  const CloggedPair pair = clogged_pair();
  int releases = 0;
  const std::string text = pattern(100 * KiB, 7);
  pair.left.transport.write(counted_buffer(text, releases));
  settle();
  EXPECT_EQ(releases, 0);
  unclog(pair);
  run_until([&] { return pair.right.received.size() == pair.written + text.size(); });
  run_until([&] { return releases > 0; });
  EXPECT_EQ(releases, 1);
  EXPECT_TRUE(pair.right.received.substr(pair.written) == text);
}

// C6: a Buffer is released once when it is dropped: by abort(), or because the write came too late.
TEST_P(EveryStream, ReleasesABufferThatIsDropped) {
  const CloggedPair pair = clogged_pair();
  int queued = 0;
  int late = 0;
  int dead = 0;
  const std::string text = "hello";
  pair.left.transport.write(counted_buffer(text, queued));
  pair.left.transport.abort();
  pair.left.transport.write(counted_buffer(text, late));
  EXPECT_EQ(late, 1);
  run_until([&] { return pair.left.protocols_alive == 0 && queued > 0; });
  EXPECT_EQ(queued, 1);
  pair.left.transport.write(counted_buffer(text, dead));
  EXPECT_EQ(dead, 1);
}

// C6, L6: buffers that are queued when the loop is closed are released once, too.
TEST_P(EveryStream, ReleasesBuffersWithTheLoop) {
  const CloggedPair pair = clogged_pair();
  int releases = 0;
  const std::string text = "hello";
  pair.left.transport.write(counted_buffer(text, releases));
  loop().close();
  EXPECT_EQ(releases, 1);
}

// S23: an empty write does nothing, in every form.
TEST_P(EveryStream, IgnoresEmptyWrites) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base});
  pair.left.transport.write("");
  pair.left.transport.write(Buffer());
  pair.left.transport.writelines({});
  pair.left.transport.writelines({as_bytes(""), as_bytes("")});
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base);
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
}

// S23: but it throws after write_eof() as any other.
TEST_P(EverySocket, RefusesEvenEmptyWritesAfterWriteEof) {
  auto [left, right] = connected_pair();
  right.keep_open = true;
  left.transport.write_eof();
  EXPECT_THROW(left.transport.write(""), WrongStateError);
  EXPECT_THROW(left.transport.write(Buffer()), WrongStateError);
  EXPECT_THROW(left.transport.writelines({}), WrongStateError);
  EXPECT_THROW(left.transport.write("x"), WrongStateError);
  EXPECT_THROW(left.transport.writelines({as_bytes("x")}), WrongStateError);
}

// S24: writelines() equals writing each element in turn; empty ones add nothing.
TEST_P(EveryStream, WritesLinesInTurn) {
  auto [left, right] = connected_pair();
  left.transport.writelines({as_bytes("one "), as_bytes(""), as_bytes("two "), as_bytes("three")});
  run_until([&right = right] { return right.received.size() == 13; });
  EXPECT_EQ(right.received, "one two three");
}

// S24: more lines than the kernel takes at once, of all sizes, arrive whole and in order.
TEST_P(EveryStream, WritesManyLines) {
  auto [left, right] = connected_pair();
  std::vector<std::string> texts;
  std::vector<std::span<const std::byte>> lines;
  std::string whole;
  for (unsigned i = 0; i < 3000; ++i) texts.push_back(pattern(i % 7 * (i % 90), i));
  for (const std::string& text : texts) {
    lines.push_back(as_bytes(text));
    whole += text;
  }
  left.transport.writelines(lines);
  left.transport.writelines(lines);
  whole += whole;
  run_until([&, &right = right] { return right.received.size() == whole.size(); });
  EXPECT_TRUE(right.received == whole);
}

// S24: writelines() counts all lines, and pauses at most once.
TEST_P(EveryStream, PausesOnceForAllLines) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base + 2});
  std::size_t at_pause = 0;
  pair.left.on("pause_writing", [&] { at_pause = pair.left.transport.get_write_buffer_size(); });
  pair.left.transport.writelines({as_bytes("aa"), as_bytes("bb"), as_bytes("cc")});
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
  EXPECT_EQ(at_pause, pair.base + 6);
}

// S24: lines that were not sent at once pause, too.
TEST_P(EveryStream, PausesForLinesThatDoNotFit) {
  auto [left, right] = connected_pair();
  right.transport.pause_reading();
  const std::string lump = pattern(8 * MiB);
  left.transport.writelines({as_bytes(lump), as_bytes(lump)});
  EXPECT_EQ(left.calls, calls("connection_made", "pause_writing"));
}

// S25: write_eof() ends the sending side once everything is sent; receiving goes on.
TEST_P(EverySocket, EndsTheSendingSideAfterTheQueue) {
  const CloggedPair pair = clogged_pair();
  pair.right.keep_open = true;
  pair.left.transport.write_eof();
  settle();
  EXPECT_EQ(pair.right.calls, calls("connection_made"));
  unclog(pair);
  run_until([&] { return pair.right.count("eof_received") == 1; });
  EXPECT_EQ(pair.right.received.size(), pair.written);
  pair.right.transport.write("still there?");
  run_until([&] { return pair.left.received == "still there?"; });
  EXPECT_FALSE(pair.left.transport.is_closing());
  EXPECT_EQ(pair.left.calls, calls("connection_made", "data_received:still there?"));
}

// S25, F8: a write that has begun is not one after write_eof(), which pause_writing() calls.
TEST_P(EverySocket, EndsTheSendingSideFromInsideAWrite) {
  auto [left, right] = connected_pair();
  left.transport.set_write_buffer_limits({.high = 0});
  left.once("pause_writing", [&left = left] { left.transport.write_eof(); });
  left.transport.write(pattern(8 * MiB));
  EXPECT_THROW(left.transport.write("x"), WrongStateError);
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.received.size(), 8 * MiB);
  EXPECT_TRUE(right.calls.at(right.calls.size() - 2) == "eof_received");
}

// S25: write_eof() may be repeated; it can always be done here.
TEST_P(EverySocket, EndsTheSendingSideOnce) {
  auto [left, right] = connected_pair();
  EXPECT_TRUE(left.transport.can_write_eof());
  right.keep_open = true;
  left.transport.write_eof();
  left.transport.write_eof();
  run_until([&right = right] { return right.count("eof_received") == 1; });
  left.transport.write_eof();
  settle();
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received"));
}

// S25: close() after write_eof() flushes and closes.
TEST_P(EverySocket, ClosesAfterWriteEof) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.write_eof();
  pair.left.transport.close();
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.right.received.size(), pair.written);
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
  EXPECT_EQ(pair.right.calls.back(), "connection_lost");
}

// S26: an error while sending is the reason; write() itself returns.
TEST_P(EverySocket, EndsWithAWriteError) {
  auto [left, right] = connected_pair();
  left.transport.pause_reading();
  reset(right, left);
  run_until([&right = right] { return right.lost(); });
  settle();
  left.transport.write("nobody is there");
  EXPECT_EQ(left.calls, calls("connection_made"));
  run_until([&left = left] { return left.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost:disconnected"));
  EXPECT_EQ(take_reports(), calls());
}

// S27: writes after the end was scheduled are dropped; the fifth and each later one warns.
TEST_P(EveryStream, WarnsOfTheFifthDroppedWrite) {
  auto [left, right] = connected_pair();
  left.transport.abort();
  for (int write = 0; write < 4; ++write) left.transport.write("x");
  EXPECT_EQ(take_logs(), calls());
  left.transport.write("x");
  EXPECT_EQ(take_logs(), calls(too_late(maker())));
  left.transport.write(Buffer(std::string("x")));
  left.transport.writelines({as_bytes("x"), as_bytes("y")});
  EXPECT_EQ(take_logs(), calls(too_late(maker()), too_late(maker())));
  left.transport.write("");
  left.transport.writelines({as_bytes("")});
  EXPECT_EQ(take_logs(), calls());
  EXPECT_EQ(left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(right.received, "");
}

// S27: they go on being counted inside connection_lost().
TEST_P(EveryStream, CountsDroppedWritesInConnectionLost) {
  auto [left, right] = connected_pair();
  left.on("connection_lost", [&left = left] {
    for (int write = 0; write < 3; ++write) left.transport.write("x");
  });
  left.transport.close();
  left.transport.write("x");
  left.transport.write("x");
  run_until([&left = left] { return left.lost(); });
  EXPECT_EQ(take_logs(), calls(too_late(maker())));
}

// S27: a protocol that never stops writing into a dead connection does no harm.
TEST_P(EveryStream, DropsWritesOfAProtocolThatDoesNotNotice) {
  auto [left, right] = connected_pair();
  left.transport.pause_reading();
  reset(right, left);
  run_until([&, &left = left] {
    left.transport.write("on and on");
    return left.lost();
  });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost:disconnected"));
  take_logs();
}

// S28: a write while close() flushes is appended, and sent before the end.
TEST_P(EverySocket, SendsWhatIsWrittenDuringTheFlush) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.close();
  pair.left.transport.write("one more thing");
  pair.left.transport.writelines({as_bytes(", "), as_bytes("really")});
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base + 22);
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.right.received.substr(pair.written), "one more thing, really");
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// S28: a write after close() with nothing queued is dropped.
TEST_P(EverySocket, DropsWhatIsWrittenAfterClose) {
  auto [left, right] = connected_pair();
  left.transport.write("said");
  left.transport.close();
  left.transport.write("unsaid");
  left.transport.write_eof();
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.received, "said");
}

// S28: write_eof() after close() does nothing, also while it flushes: a write is still taken.
TEST_P(EverySocket, IgnoresWriteEofAfterClose) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.close();
  pair.left.transport.write_eof();
  pair.left.transport.write("more");
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.right.received.substr(pair.written), "more");
}

// S29: no byte written inside connection_lost() reaches the peer, after a flush either.
TEST_P(EveryStream, DropsWhatIsWrittenInConnectionLost) {
  const CloggedPair pair = clogged_pair();
  pair.left.on("connection_lost", [&] {
    pair.left.transport.write("from beyond");
    EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  });
  pair.left.transport.close();
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.right.received.size(), pair.written);
}

// S30: TCP sockets have no-delay set, on both ends.
TEST_P(EveryStream, SetsNoDelay) {
  auto [left, right] = connected_pair();
  for (const Recorder* recorder : {&left, &right}) {
    const auto view = recorder->transport.get_extra_info<SocketView>("socket");
    const auto peer = recorder->transport.get_extra_info<Address>("sockname");
    if (!view || view->descriptor < 0 || !peer || peer->family() != AddressFamily::ipv4) continue;
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    ASSERT_EQ(getsockopt(view->descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    EXPECT_NE(no_delay, 0);
  }
}

// S31, F17: no resume_writing() comes before the end by a reset.
TEST_P(EveryStream, DoesNotResumeBeforeAReset) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  reset(pair.right, pair.left);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls,
            calls("connection_made", "pause_writing", "connection_lost:disconnected"));
}

}  // namespace weir::test
