// Chapters 5 and 6: flow control of datagrams, with the sizes of D8. Only Unix sockets are ever full: what
// is too much for a UDP socket is lost on the way.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "every_datagram.h"
#include "loop_support.h"

namespace weir::test {
namespace {

using Limits = EffectiveWriteBufferLimits;

class BlockingDatagram : public EveryDatagram {
 protected:
  /// Lets right read, and everything flow.
  void unclog(const DatagramPair& sockets) { sockets.right.transport.resume_reading(); }
  /// What right received that is no filler.
  static std::vector<std::string> messages(const DatagramPair& sockets) {
    std::vector<std::string> found;
    for (const std::string& text : sockets.right.received) {
      if (text.size() < KiB) found.push_back(text);
    }
    return found;
  }
};

INSTANTIATE_TEST_SUITE_P(Behaviour, BlockingDatagram,
                         ::testing::ValuesIn(datagram_makers(DatagramKind::unix_socket)),
                         datagram_maker_name);

}  // namespace

// F1, F2, F3, F4: the marks are those of every transport.
TEST_P(EveryDatagram, HasTheMarksOfEveryTransport) {
  const DatagramTransport transport = open(maker().bound()).transport;
  EXPECT_EQ(transport.get_write_buffer_limits(), (Limits{.low = 16 * KiB, .high = 64 * KiB}));
  transport.set_write_buffer_limits({.high = 100});
  EXPECT_EQ(transport.get_write_buffer_limits(), (Limits{.low = 25, .high = 100}));
  EXPECT_THROW(transport.set_write_buffer_limits({.high = 0, .low = 1}), std::invalid_argument);
  EXPECT_EQ(transport.get_write_buffer_limits(), (Limits{.low = 25, .high = 100}));
}

// F15: what is sent without waiting never pauses, not even with a high-water mark of zero.
TEST_P(EveryDatagram, NeverPausesForWhatIsSentAtOnce) {
  const DatagramPair sockets = pair();
  sockets.left.transport.set_write_buffer_limits({.high = 0});
  for (int i = 0; i < 3; ++i) send(sockets, "x");
  wait_for(sockets.right, 3);
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));
}

// D4, D5: what the system does not take waits, in order, empty datagrams included.
TEST_P(BlockingDatagram, QueuesInOrder) {
  const DatagramPair sockets = pair();
  clog(sockets);
  for (const char* text : {"a", "", "b"}) send(sockets, text);
  unclog(sockets);
  run_until([&] { return messages(sockets).size() == 3; });
  EXPECT_EQ(messages(sockets), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(sockets.left.transport.get_write_buffer_size(), 0U);
}

// C6: what waits was copied.
TEST_P(BlockingDatagram, CopiesWhatWaits) {
  const DatagramPair sockets = pair();
  clog(sockets);
  std::string text = "original";
  Address to = maker().connected ? Address() : sockets.right.address();
  sockets.left.transport.sendto(text, to);
  text.assign(text.size(), 'x');
  to = Address::unix_socket("/nowhere");
  unclog(sockets);
  run_until([&] { return messages(sockets).size() == 1; });
  EXPECT_EQ(messages(sockets), std::vector<std::string>{"original"});
}

// D8: each waiting datagram counts with its length and eight more.
TEST_P(BlockingDatagram, CountsEightBytesMoreForEach) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  EXPECT_EQ(base % (KiB + 8), 0U);
  send(sockets, "abc");
  EXPECT_EQ(sockets.left.transport.get_write_buffer_size(), base + 3 + 8);
  send(sockets, "");
  EXPECT_EQ(sockets.left.transport.get_write_buffer_size(), base + 3 + 8 + 8);
}

// F5, F7, F8, F9: pause_writing() comes once, from inside sendto(), strictly over the mark.
TEST_P(BlockingDatagram, PausesOnceWhenStrictlyOverHighWater) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  const DatagramTransport transport = sockets.left.transport;
  transport.set_write_buffer_limits({.high = base + 8, .low = 0});
  std::size_t seen = 0;
  sockets.left.on("pause_writing", [&] { seen = transport.get_write_buffer_size(); });
  send(sockets, "");
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));  // equal is not over
  send(sockets, "");
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "pause_writing"));
  EXPECT_EQ(seen, base + 16);
  send(sockets, "");
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "pause_writing"));
  unclog(sockets);
  run_until([&] { return sockets.left.calls.back() == "resume_writing"; });
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "pause_writing", "resume_writing"));
  EXPECT_EQ(transport.get_write_buffer_size(), 0U);
}

// F14: lower limits pause at once.
TEST_P(BlockingDatagram, PausesAtOnceForLowerLimits) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.transport.set_write_buffer_limits({.high = base - 1});
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "pause_writing"));
  unclog(sockets);
  run_until([&] { return sockets.left.calls.back() == "resume_writing"; });
}

// F11: resume_writing() may send again.
TEST_P(BlockingDatagram, MaySendWhenResumed) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.transport.set_write_buffer_limits({.high = base - 1, .low = 0});
  sockets.left.on("resume_writing", [&] { send(sockets, "more"); });
  unclog(sockets);
  run_until([&] { return messages(sockets).size() == 1; });
  EXPECT_EQ(messages(sockets), std::vector<std::string>{"more"});
}

// F16: what pause_writing() and resume_writing() throw is reported, and changes nothing.
TEST_P(BlockingDatagram, ReportsWhatFlowCallbacksThrow) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.on("pause_writing", [] { throw TestError(); });
  sockets.left.on("resume_writing", [] { throw TestError(); });
  sockets.left.transport.set_write_buffer_limits({.high = base});
  send(sockets, "kept");
  EXPECT_EQ(take_reports(), calls("protocol.pause_writing() failed [test error]"));
  unclog(sockets);
  run_until([&] { return messages(sockets).size() == 1; });
  run_until([&] { return sockets.left.count("resume_writing") == 1; });
  EXPECT_EQ(take_reports(), calls("protocol.resume_writing() failed [test error]"));
}

// D14, S28: close() sends what waits first, and what is sent meanwhile; then connection_lost().
TEST_P(BlockingDatagram, SendsWhatWaitsBeforeItCloses) {
  const DatagramPair sockets = pair();
  clog(sockets);
  send(sockets, "a");
  sockets.left.transport.close();
  EXPECT_TRUE(sockets.left.transport.is_closing());
  send(sockets, "b");
  settle();
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));
  unclog(sockets);
  run_until([&] { return sockets.left.lost() && messages(sockets).size() == 2; });
  EXPECT_EQ(messages(sockets), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(sockets.left.reason);
}

// F13: a pause inside that flush is followed by its resume.
TEST_P(BlockingDatagram, MayCloseInsidePauseWriting) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.on("pause_writing", [&] { sockets.left.transport.close(); });
  sockets.left.transport.set_write_buffer_limits({.high = base});
  send(sockets, "last");
  unclog(sockets);
  run_until([&] { return sockets.left.lost(); });
  EXPECT_EQ(sockets.left.calls,
            calls("connection_made", "pause_writing", "resume_writing", "connection_lost"));
  run_until([&] { return messages(sockets).size() == 1; });
}

// D14, S17, F17: abort() drops what waits; nothing is resumed.
TEST_P(BlockingDatagram, DropsWhatWaitsWhenAborted) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.transport.set_write_buffer_limits({.high = base});
  send(sockets, "never sent");
  sockets.left.transport.abort();
  EXPECT_EQ(sockets.left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return sockets.left.lost(); });
  unclog(sockets);
  settle();
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "pause_writing", "connection_lost"));
  EXPECT_EQ(messages(sockets), std::vector<std::string>());
}

// F13: abort() inside pause_writing() does the same.
TEST_P(BlockingDatagram, MayAbortInsidePauseWriting) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.on("pause_writing", [&] { sockets.left.transport.abort(); });
  sockets.left.transport.set_write_buffer_limits({.high = base});
  send(sockets, "never sent");
  EXPECT_EQ(sockets.left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return sockets.left.lost(); });
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "pause_writing", "connection_lost"));
}

// D12, D10: the receiver goes while datagrams wait: each fails, and the last failure resumes the paused
// protocol.
TEST_P(BlockingDatagram, ResumesThoughTheLastDatagramFails) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.transport.set_write_buffer_limits({.high = base, .low = 0});
  send(sockets, "lost");
  sockets.right.transport.abort();
  run_until([&] { return sockets.left.calls.back() == "resume_writing"; });
  EXPECT_EQ(sockets.left.transport.get_write_buffer_size(), 0U);
  EXPECT_EQ(sockets.left.errors.at(0), std::errc::connection_refused);
  EXPECT_TRUE(sockets.left.calls.at(sockets.left.calls.size() - 2).starts_with("error_received"));
  EXPECT_FALSE(sockets.left.transport.is_closing());
}

// D12, D14: and completes a pending close.
TEST_P(BlockingDatagram, ClosesThoughTheLastDatagramFails) {
  const DatagramPair sockets = pair();
  clog(sockets);
  send(sockets, "lost");
  sockets.left.transport.close();
  sockets.right.transport.abort();
  run_until([&] { return sockets.left.lost(); });
  EXPECT_GE(sockets.left.count("error_received"), 1U);
  EXPECT_FALSE(sockets.left.reason);
}

// D10: one that is too large fails when its turn comes; those behind it are sent.
TEST_P(BlockingDatagram, GoesOnAfterAnErrorInTheQueue) {
  const DatagramPair sockets = pair();
  clog(sockets);
  send(sockets, "a");
  send(sockets, pattern(maker().too_large()));
  send(sockets, "b");
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));
  unclog(sockets);
  run_until([&] { return messages(sockets).size() == 2; });
  EXPECT_EQ(messages(sockets), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "error_received:Message too long"));
}

// B14: the new protocol is not told of a pause, but of its end.
TEST_P(BlockingDatagram, KeepsThePauseForTheNextProtocol) {
  const DatagramPair sockets = pair();
  const std::size_t base = clog(sockets);
  sockets.left.transport.set_write_buffer_limits({.high = base - 1});
  DatagramRecorder& next = new_recorder("next");
  hand_over(sockets.left, next);
  unclog(sockets);
  run_until([&] { return next.calls == calls("resume_writing"); });
}

// F5, F6: echoing a burst to a peer that does not read pauses when the system is full, not before, and
// nothing is lost.
TEST_P(BlockingDatagram, PausesWhileAnsweringABurst) {
  if (maker().connected) return;  // the same: the answers go to whoever asked
  const DatagramPair sockets = pair();
  DatagramRecorder& right = sockets.right;
  right.on("datagram_received",
           [&] { right.transport.sendto(right.received.back(), right.senders.back()); });
  right.on("pause_writing", [&] { right.transport.pause_reading(); });
  right.on("resume_writing", [&] { right.transport.resume_reading(); });
  right.transport.set_write_buffer_limits({.high = 4 * KiB});
  sockets.left.transport.set_write_buffer_limits({.high = 16 * MiB});
  sockets.left.transport.pause_reading();
  std::vector<std::string> sent;
  for (unsigned i = 0; i < 2000; ++i) {
    sent.push_back(pattern(500, i));
    send(sockets, sent.back());
  }
  run_until([&] { return right.count("pause_writing") > 0; });
  sockets.left.transport.resume_reading();
  wait_for(sockets.left, sent.size());
  EXPECT_EQ(sockets.left.received, sent);
  EXPECT_EQ(right.errors.size(), 0U);
}

}  // namespace weir::test
