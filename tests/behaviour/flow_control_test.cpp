// Chapter F: the watermarks of writing, pause_writing() and resume_writing().

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "every_stream.h"

namespace weir::test {
namespace {

using Limits = EffectiveWriteBufferLimits;

Limits default_limits(const StreamMaker& maker) {
  if (maker.is_tls()) return {.low = 128 * KiB, .high = 512 * KiB};
  return {.low = 16 * KiB, .high = 64 * KiB};
}

}  // namespace

// F1, F4: the marks are 16 and 64 KiB at first, over TLS 128 and 512, in the order (low, high).
TEST_P(EveryStream, HasDefaultLimits) {
  auto [left, right] = connected_pair();
  EXPECT_EQ(left.transport.get_write_buffer_limits(), default_limits(maker()));
  EXPECT_EQ(right.transport.get_write_buffer_limits(), default_limits(maker()));
}

// F2: a mark that is not given follows from the other; neither given means the defaults.
TEST_P(EveryStream, CompletesLimits) {
  auto [left, right] = connected_pair();
  const auto set = [&left = left](WriteBufferLimits limits) {
    left.transport.set_write_buffer_limits(limits);
    return left.transport.get_write_buffer_limits();
  };
  EXPECT_EQ(set({.high = 1000}), (Limits{.low = 250, .high = 1000}));
  EXPECT_EQ(set({.high = 7}), (Limits{.low = 1, .high = 7}));
  EXPECT_EQ(set({.low = 100}), (Limits{.low = 100, .high = 400}));
  EXPECT_EQ(set({.high = 5, .low = 5}), (Limits{.low = 5, .high = 5}));
  EXPECT_EQ(set({.high = 5, .low = 0}), (Limits{.low = 0, .high = 5}));
  EXPECT_EQ(set({.high = 0}), (Limits{.low = 0, .high = 0}));
  EXPECT_EQ(set({.low = 0}), (Limits{.low = 0, .high = 0}));
  EXPECT_EQ(set({}), default_limits(maker()));
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(set({.low = most}), (Limits{.low = most, .high = most}));
}

// F3: low over high is an invalid argument, and the old marks stay.
TEST_P(EveryStream, RefusesLowOverHigh) {
  auto [left, right] = connected_pair();
  left.transport.set_write_buffer_limits({.high = 100, .low = 10});
  EXPECT_THROW(left.transport.set_write_buffer_limits({.high = 0, .low = 1}),
               std::invalid_argument);
  EXPECT_THROW(left.transport.set_write_buffer_limits({.high = 10, .low = 11}),
               std::invalid_argument);
  EXPECT_EQ(left.transport.get_write_buffer_limits(), (Limits{.low = 10, .high = 100}));
}

// F5, F7, F8: pause_writing() comes once, synchronously, when the queue goes strictly over high.
TEST_P(EveryStream, PausesWritingOnceWhenStrictlyOverHighWater) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base + 8 * KiB});
  pair.left.transport.write(pattern(8 * KiB));
  EXPECT_EQ(pair.left.calls, calls("connection_made"));  // equal is not over
  pair.left.transport.write("x");
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
  pair.left.transport.write("x");
  pair.left.transport.write(pattern(1 * MiB));
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
}

// F6, F7: resume_writing() comes once, from the loop, when the queue is at low or under; then a new
// pause may come.
TEST_P(EveryStream, ResumesWritingAtLowWater) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base, .low = pair.base / 2});
  std::size_t at_resume = 0;
  pair.left.on("resume_writing", [&] { at_resume = pair.left.transport.get_write_buffer_size(); });
  pair.left.transport.write("x");
  unclog(pair);
  run_until([&] { return pair.left.count("resume_writing") == 1; });
  EXPECT_LE(at_resume, pair.base / 2);
  run_until([&] { return pair.right.received.size() == pair.written + 1; });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing", "resume_writing"));

  clog(Pair{pair.left, pair.right});
  pair.left.transport.set_write_buffer_limits({.high = 0});
  EXPECT_EQ(pair.left.calls,
            calls("connection_made", "pause_writing", "resume_writing", "pause_writing"));
}

// F9: inside pause_writing() the bytes are counted already.
TEST_P(EveryStream, CountsBytesBeforeItPauses) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base});
  std::size_t at_pause = 0;
  pair.left.on("pause_writing", [&] { at_pause = pair.left.transport.get_write_buffer_size(); });
  pair.left.transport.write("hello");
  EXPECT_EQ(at_pause, pair.base + 5);
}

// F10: resume_writing() comes before a pending close is completed.
TEST_P(EveryStream, ResumesBeforeAPendingClose) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.transport.close();
  unclog(pair);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls,
            closed(calls("connection_made", "pause_writing", "resume_writing", "connection_lost")));
}

// F10: and before a pending half-close: what it would write is refused, but still sent first is all.
TEST_P(EverySocket, ResumesBeforeAPendingHalfClose) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.transport.write_eof();
  std::size_t ends_at_resume = 99;
  pair.left.on("resume_writing", [&] { ends_at_resume = pair.right.count("eof_received"); });
  unclog(pair);
  run_until([&] { return pair.right.count("eof_received") == 1; });
  EXPECT_EQ(ends_at_resume, 0U);
  EXPECT_EQ(pair.right.received.size(), pair.written);
}

// F11: resume_writing() may write, and be paused again from inside, for as long as it likes.
TEST_P(EveryStream, MayWriteAndPauseInResumeWriting) {
  const CloggedPair pair = clogged_pair();
  std::size_t written = pair.written;
  int rounds = 0;
  pair.left.on("resume_writing", [&] {
    if (++rounds > 5) return;
    while (pair.left.count("pause_writing") == pair.left.count("resume_writing")) {
      pair.left.transport.write(pattern(64 * KiB));
      written += 64 * KiB;
    }
  });
  pair.left.transport.set_write_buffer_limits({.high = 32 * KiB, .low = 0});
  unclog(pair);
  run_until([&] { return rounds > 5 && pair.right.received.size() == written; });
  Calls expected = calls("connection_made");
  for (int round = 0; round < rounds; ++round) {
    expected.emplace_back("pause_writing");
    expected.emplace_back("resume_writing");
  }
  EXPECT_EQ(pair.left.calls, expected);
}

// F12: close() or abort() inside resume_writing() gives connection_lost() exactly once.
TEST_P(EveryStream, ClosesOnceFromResumeWriting) {
  for (const bool aborts : {false, true}) {
    const CloggedPair pair = clogged_pair();
    pair.left.transport.set_write_buffer_limits({.high = 0});
    pair.left.on("resume_writing",
                 [&] { aborts ? pair.left.transport.abort() : pair.left.transport.close(); });
    unclog(pair);
    run_until([&] { return pair.left.lost() && pair.right.lost(); });
    settle();
    const Calls all =
        calls("connection_made", "pause_writing", "resume_writing", "connection_lost");
    EXPECT_EQ(pair.left.calls, aborts ? all : closed(all));
  }
}

// F12: also when a close() was pending.
TEST_P(EveryStream, ClosesOnceFromResumeWritingWhileFlushing) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.on("resume_writing", [&] {
    pair.left.transport.close();
    pair.left.transport.abort();
  });
  pair.left.transport.close();
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  settle();
  EXPECT_EQ(pair.left.calls,
            calls("connection_made", "pause_writing", "resume_writing", "connection_lost"));
}

// F13: close() inside pause_writing() flushes, with a resume on the way down.
TEST_P(EveryStream, MayCloseInPauseWriting) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base});
  pair.left.on("pause_writing", [&] { pair.left.transport.close(); });
  pair.left.transport.write("the end");
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.left.calls,
            closed(calls("connection_made", "pause_writing", "resume_writing", "connection_lost")));
  EXPECT_EQ(pair.right.received.substr(pair.written), "the end");
}

// F13, F17: abort() inside pause_writing() drops the queue; no resume follows; write() just returns.
TEST_P(EveryStream, MayAbortInPauseWriting) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base});
  pair.left.on("pause_writing", [&] { pair.left.transport.abort(); });
  pair.left.transport.write(pattern(100 * KiB));
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing", "connection_lost"));
}

// F13: the same inside writelines(), and inside the write of a Buffer.
TEST_P(EveryStream, MayAbortInPauseWritingOfOtherWrites) {
  const std::string text = pattern(100 * KiB);
  for (const bool lines : {false, true}) {
    const CloggedPair pair = clogged_pair();
    pair.left.transport.set_write_buffer_limits({.high = pair.base});
    pair.left.on("pause_writing", [&] { pair.left.transport.abort(); });
    if (lines) {
      pair.left.transport.writelines({as_bytes(text), as_bytes(text), as_bytes(text)});
    } else {
      pair.left.transport.write(Buffer(text));
    }
    EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
    run_until([&] { return pair.left.lost(); });
    EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing", "connection_lost"));
  }
}

// F13: and when it is the first write, sent in part, that pauses.
TEST_P(EveryStream, MayAbortInThePauseOfAPartialWrite) {
  const std::string text = pattern(8 * MiB);
  for (int form = 0; form < 3; ++form) {
    auto [left, right] = connected_pair();
    right.transport.pause_reading();
    left.on("pause_writing", [&left = left] { left.transport.abort(); });
    if (form == 0) left.transport.write(text);
    if (form == 1) left.transport.write(Buffer(text));
    if (form == 2) left.transport.writelines({as_bytes(text), as_bytes(text)});
    EXPECT_EQ(left.transport.get_write_buffer_size(), 0U);
    run_until([&left = left] { return left.lost(); });
    EXPECT_EQ(left.calls, calls("connection_made", "pause_writing", "connection_lost"));
  }
}

// F14: set_write_buffer_limits() pauses at once when the queue is over the new mark.
TEST_P(EveryStream, PausesWhenTheHighMarkIsLowered) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base});
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
  pair.left.transport.set_write_buffer_limits({.high = pair.base - 1});
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
}

// F13, F17: who is paused by new limits, in the turn of its write(), and closes is resumed first; or was not paused.
TEST_P(EveryStream, ResumesBeforeTheCloseThatFollowsNewLimits) {
  auto [left, right] = connected_pair();
  loop().call_soon([&left = left] {
    left.transport.write("a few bytes");
    left.transport.set_write_buffer_limits({.high = 0});
    left.transport.close();
  });
  run_until([&, &left = left, &right = right] { return left.lost() && right.lost(); });
  EXPECT_EQ(left.count("pause_writing"), left.count("resume_writing"));
  EXPECT_EQ(right.received, "a few bytes");
}

// F14: raising the marks over the queue does not resume at once, but when bytes leave.
TEST_P(EveryStream, ResumesLaterWhenTheLowMarkIsRaised) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.transport.set_write_buffer_limits({.high = 1 * MiB, .low = 1 * MiB});
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
  unclog(pair);
  run_until([&] { return pair.left.count("resume_writing") == 1; });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing", "resume_writing"));
}

// F15: with high = 0 any queued byte pauses, and with low = 0 only the empty queue resumes; what is
// sent at once never pauses.
TEST_P(EveryStream, PausesAtEveryByteWithoutABuffer) {
  auto [left, right] = connected_pair();
  left.transport.set_write_buffer_limits({.high = 0});
  left.transport.write("sent at once");
  EXPECT_EQ(left.calls, calls("connection_made"));
  run_until([&right = right] { return right.received == "sent at once"; });

  const CloggedPair pair = clog({left, right});
  left.transport.set_write_buffer_limits({.high = 0});
  std::size_t at_resume = 99;
  left.on("resume_writing",
          [&, &left = left] { at_resume = left.transport.get_write_buffer_size(); });
  unclog(pair);
  run_until([&left = left] { return left.count("resume_writing") == 1; });
  EXPECT_EQ(at_resume, 0U);
}

// F16: what pause_writing() and resume_writing() throw is reported; the write goes on.
TEST_P(EveryStream, GoesOnWhenFlowCallbacksThrow) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = pair.base, .low = 0});
  pair.left.on("pause_writing", [] { throw std::runtime_error("boom"); });
  pair.left.on("resume_writing", [] { throw std::runtime_error("bang"); });
  pair.left.transport.write("hello");
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base + 5);
  pair.left.transport.write(" world");
  unclog(pair);
  run_until([&] { return pair.right.received.size() == pair.written + 11; });
  run_until([&] { return pair.left.count("resume_writing") == 1; });
  EXPECT_EQ(pair.right.received.substr(pair.written), "hello world");
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing", "resume_writing"));
  const std::vector<Report> reports = take_whole_reports();
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].message, "protocol.pause_writing() failed");
  EXPECT_EQ(reports[0].exception, "boom");
  EXPECT_EQ(reports[1].message, "protocol.resume_writing() failed");
  EXPECT_EQ(reports[1].exception, "bang");
  for (const Report& report : reports) EXPECT_TRUE(report.has_transport && report.has_protocol);
}

// F17: no resume follows an abort(), though the size falls to 0.
TEST_P(EveryStream, DoesNotResumeAfterAbort) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.transport.abort();
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing", "connection_lost"));
}

// L6, F8: nor can the loop be closed from inside a call that makes a callback, also if no run goes on.
TEST_P(EveryStream, KeepsTheLoopWhileItIsToldToPause) {
  const Pair pair = connected_pair();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.on("pause_writing", [&] { EXPECT_THROW(loop().close(), WrongStateError); });
  const std::string text = pattern(64 * KiB);
  while (pair.left.count("pause_writing") == 0) {
    pair.left.transport.write(
        Buffer(as_bytes(text), [&] { EXPECT_THROW(loop().close(), WrongStateError); }));
  }
  pair.left.transport.abort();
  run_until([&] { return pair.left.lost(); });
  iterate(3);  // so that all Buffers are released
}

// F17, C6: a Buffer is released after flow control was told, so that its owner may abort, or write again.
TEST_P(EveryStream, ReleasesBuffersAfterItHasResumed) {
  for (const bool aborts : {false, true}) {
    const CloggedPair pair = clogged_pair();
    const std::string text = pattern(8 * MiB);
    pair.left.transport.set_write_buffer_limits({.high = 1, .low = 0});
    pair.left.transport.write(Buffer(as_bytes(text), [&] {
      pair.left.calls.emplace_back("released");
      if (aborts) return pair.left.transport.abort();
      pair.left.transport.write("more");
      pair.left.transport.close();
    }));
    unclog(pair);
    run_until([&] { return pair.left.lost() && pair.right.lost(); });
    ASSERT_GE(pair.left.calls.size(), 4U);
    EXPECT_EQ(Calls(pair.left.calls.begin(), pair.left.calls.begin() + 4),
              calls("connection_made", "pause_writing", "resume_writing", "released"));
    EXPECT_EQ(pair.left.calls.back(), "connection_lost");
    EXPECT_TRUE(!aborts || pair.left.calls.size() == 5);
    EXPECT_EQ(pair.right.received.ends_with("more"), !aborts);
  }
}

// F17: nor is anything paused any more.
TEST_P(EveryStream, DoesNotPauseAfterAbort) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.abort();
  pair.left.transport.set_write_buffer_limits({.high = 0});
  pair.left.transport.write("dropped");
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// F18: the size is what was written and not yet given to the kernel, byte by byte.
TEST_P(EveryStream, CountsBytesNotYetSent) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.write("12345");
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base + 5);
  pair.left.transport.write(Buffer(std::string("678")));
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base + 8);
  pair.left.transport.writelines({as_bytes("9"), as_bytes("0")});
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base + 10);
  unclog(pair);
  run_until([&] { return pair.right.received.size() == pair.written + 10; });
  run_until([&] { return pair.left.transport.get_write_buffer_size() == 0; });
}

// F21: a pause while connection_made() runs is legal.
TEST_P(EveryStream, MayPauseInConnectionMade) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  const std::string text = pattern(16 * MiB);
  left.on("connection_made", [&] { left.transport.write(text); });
  right.on("connection_made", [&] { right.transport.pause_reading(); });
  connect(left, right);
  EXPECT_EQ(left.calls, calls("connection_made", "pause_writing"));
  right.transport.resume_reading();
  run_until([&] { return right.received.size() == text.size(); });
  run_until([&] { return left.count("resume_writing") == 1; });
  EXPECT_EQ(left.calls, calls("connection_made", "pause_writing", "resume_writing"));
}

}  // namespace weir::test
