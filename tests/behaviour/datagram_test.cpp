// Chapter 6: what a datagram protocol is told, and when; pausing and closing.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "every_datagram.h"
#include "loop_support.h"

namespace weir::test {

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryDatagram, ::testing::ValuesIn(datagram_makers()),
                         datagram_maker_name);

namespace {

using Texts = std::vector<std::string>;

}  // namespace

// --- Receiving --------------------------------------------------------------------------------------

// D1: connection_made() comes first, connection_lost() last.
TEST_P(EveryDatagram, TellsItsLifeInOrder) {
  const DatagramPair sockets = pair();
  send(sockets, "hello");
  wait_for(sockets.right, 1);
  sockets.right.transport.close();
  run_until([&] { return sockets.right.lost(); });
  EXPECT_EQ(sockets.right.calls,
            calls("connection_made", "datagram_received:hello", "connection_lost"));
  EXPECT_FALSE(sockets.right.reason);
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));
}

// D2: one datagram a callback, of whatever size.
TEST_P(EveryDatagram, KeepsTheBoundariesOfDatagrams) {
  const DatagramPair sockets = pair();
  Texts sent;
  for (const std::size_t size : {1U, 7U, 1000U, 9000U, 60'000U}) {
    sent.push_back(pattern(size, static_cast<unsigned>(size)));
    send(sockets, sent.back());
    wait_for(sockets.right, sent.size());
  }
  EXPECT_EQ(sockets.right.received, sent);
}

// D2: many that wait are delivered one by one, in the order in which they came.
TEST_P(EveryDatagram, DeliversABurstInOrder) {
  const DatagramPair sockets = pair();
  sockets.right.transport.pause_reading();
  Texts sent;
  for (int i = 0; i < 100; ++i) {
    sent.push_back("datagram " + std::to_string(i));
    send(sockets, sent.back());
  }
  sockets.right.transport.resume_reading();
  wait_for(sockets.right, sent.size());
  EXPECT_EQ(sockets.right.received, sent);
}

// D2: the sender's address leads back to it.
TEST_P(EveryDatagram, TellsWhoSent) {
  const DatagramPair sockets = pair();
  send(sockets, "question");
  wait_for(sockets.right, 1);
  EXPECT_EQ(sockets.right.senders.at(0), sockets.left.address());
  sockets.right.transport.sendto("answer", sockets.right.senders.at(0));
  wait_for(sockets.left, 1);
  EXPECT_EQ(sockets.left.received, Texts{"answer"});
}

// D3, D5: an empty datagram is sent, and delivered as one.
TEST_P(EveryDatagram, SendsAndDeliversEmptyDatagrams) {
  const DatagramPair sockets = pair();
  for (const char* text : {"", "a", "", ""}) send(sockets, text);
  wait_for(sockets.right, 4);
  EXPECT_EQ(sockets.right.received, (Texts{"", "a", "", ""}));
  EXPECT_FALSE(sockets.right.transport.is_closing());
}

// C5, C6: the bytes are the caller's again when sendto() returns.
TEST_P(EveryDatagram, TakesNoBytesAlong) {
  const DatagramPair sockets = pair();
  std::string text = "original";
  send(sockets, text);
  text.assign(text.size(), 'x');
  wait_for(sockets.right, 1);
  EXPECT_EQ(sockets.right.received, Texts{"original"});
}

// D16, S8, S12: nothing is delivered while reading is paused, and what waited comes after that.
TEST_P(EveryDatagram, DeliversNothingWhilePaused) {
  const DatagramPair sockets = pair();
  sockets.right.transport.pause_reading();
  EXPECT_FALSE(sockets.right.transport.is_reading());
  send(sockets, "early");
  settle();
  EXPECT_EQ(sockets.right.calls, calls("connection_made"));
  sockets.right.transport.resume_reading();
  EXPECT_TRUE(sockets.right.transport.is_reading());
  EXPECT_EQ(sockets.right.calls, calls("connection_made"));  // never from inside the call [S11]
  wait_for(sockets.right, 1);
}

// D16, S8: pause_reading() from inside a callback holds back the very next one, lost to nobody.
TEST_P(EveryDatagram, MayPauseInTheMiddleOfABurst) {
  const DatagramPair sockets = pair();
  DatagramRecorder& right = sockets.right;
  right.on("datagram_received", [&] { right.transport.pause_reading(); });
  Texts sent;
  for (int i = 0; i < 10; ++i) {
    sent.push_back(std::to_string(i));
    send(sockets, sent.back());
  }
  for (std::size_t count = 1; count <= sent.size(); ++count) {
    wait_for(right, count);
    settle();
    EXPECT_EQ(right.received.size(), count);
    right.transport.resume_reading();
  }
  EXPECT_EQ(right.received, sent);
}

// S9: both may be repeated, and do nothing on a closing transport.
TEST_P(EveryDatagram, MayPauseAndResumeTwice) {
  const DatagramPair sockets = pair();
  const DatagramTransport transport = sockets.right.transport;
  transport.resume_reading();
  transport.pause_reading();
  transport.pause_reading();
  transport.resume_reading();
  transport.resume_reading();
  send(sockets, "a");
  wait_for(sockets.right, 1);
  transport.pause_reading();
  transport.close();
  transport.resume_reading();
  transport.pause_reading();
  EXPECT_FALSE(transport.is_reading());
}

// S10: pause_reading() inside connection_made() is honoured.
TEST_P(EveryDatagram, MayPauseWhileBeingMade) {
  DatagramRecorder& left = new_recorder("left");
  DatagramRecorder& right = new_recorder("right");
  right.on("connection_made", [&] { right.transport.pause_reading(); });
  const DatagramPair sockets = pair(left, right);
  send(sockets, "a");
  settle();
  EXPECT_EQ(right.calls, calls("connection_made"));
  right.transport.resume_reading();
  wait_for(right, 1);
}

// B12, B13: after set_protocol() everything goes to the new protocol, from the next datagram on.
TEST_P(EveryDatagram, HandsOverToAnotherProtocol) {
  const DatagramPair sockets = pair();
  DatagramRecorder& next = new_recorder("next");
  sockets.right.on("datagram_received", [&] { hand_over(sockets.right, next); });
  for (const char* text : {"a", "b", "c"}) send(sockets, text);
  wait_for(next, 2);
  EXPECT_EQ(sockets.right.calls, calls("connection_made", "datagram_received:a"));
  next.transport.close();
  run_until([&] { return next.lost(); });
  EXPECT_EQ(next.calls, calls("datagram_received:b", "datagram_received:c", "connection_lost"));
  EXPECT_THROW(sockets.left.transport.set_protocol(nullptr), std::invalid_argument);
}

// --- The end ----------------------------------------------------------------------------------------

// D14, B6, S14: close() delivers nothing more, and connection_lost() comes from the loop.
TEST_P(EveryDatagram, ClosesFromTheLoop) {
  const DatagramPair sockets = pair();
  send(sockets, "never seen");
  sockets.right.transport.close();
  sockets.right.transport.close();
  EXPECT_TRUE(sockets.right.transport.is_closing());
  EXPECT_FALSE(sockets.right.transport.is_reading());
  EXPECT_EQ(sockets.right.calls, calls("connection_made"));
  run_until([&] { return sockets.right.lost(); });
  EXPECT_EQ(sockets.right.calls, calls("connection_made", "connection_lost"));
}

// B10: an exception of connection_lost() is reported, and everything is cleaned up.
TEST_P(EveryDatagram, CleansUpAfterAnExceptionOfConnectionLost) {
  DatagramRecorder& recorder = open(maker().bound());
  recorder.on("connection_lost", [] { throw TestError(); });
  recorder.transport.abort();
  run_until([&] { return recorder.protocols_alive == 0; });
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
}

// B9: an exception of connection_made() is reported; the socket stays and receives.
TEST_P(EveryDatagram, SurvivesAnExceptionOfConnectionMade) {
  DatagramRecorder& left = new_recorder("left");
  DatagramRecorder& right = new_recorder("right");
  right.on("connection_made", [] { throw TestError(); });
  const DatagramPair sockets = pair(left, right);
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
  send(sockets, "a");
  wait_for(right, 1);
}

// D15, S27: after the end datagrams are dropped; from the fifth on with a warning.
TEST_P(EveryDatagram, DropsAndCountsWhatComesTooLate) {
  const DatagramPair sockets = pair();
  sockets.left.transport.abort();
  for (int i = 0; i < 4; ++i) send(sockets, "dropped");
  EXPECT_EQ(take_logs(), Calls());
  send(sockets, "dropped");
  EXPECT_EQ(take_logs(), calls("warning: socket.send() raised exception."));
  sockets.left.on("connection_lost", [&] { send(sockets, "dropped"); });
  run_until([&] { return sockets.left.lost(); });
  EXPECT_EQ(take_logs(), calls("warning: socket.send() raised exception."));
  settle();
  EXPECT_EQ(sockets.right.calls, calls("connection_made"));
  EXPECT_EQ(sockets.left.calls, calls("connection_made", "connection_lost"));
}

// B17: a handle that is over, or was never a transport, does nothing.
TEST_P(EveryDatagram, DoesNothingOnceItIsOver) {
  DatagramRecorder& recorder = open(maker().bound());
  const Address somewhere = recorder.address();
  recorder.transport.abort();
  run_until([&] { return recorder.lost() && recorder.protocols_alive == 0; });
  for (const DatagramTransport& transport : {recorder.transport, DatagramTransport()}) {
    transport.sendto("x");
    transport.sendto("x", somewhere);
    transport.close();
    transport.abort();
    transport.pause_reading();
    transport.resume_reading();
    transport.set_write_buffer_limits({.high = 1});
    transport.set_ttl(-1);
    transport.set_multicast_ttl(-1);
    transport.set_multicast_loop(true);
    transport.set_multicast_interface(somewhere);
    transport.join_group(somewhere);
    transport.leave_group(somewhere);
    transport.set_protocol(nullptr);
    EXPECT_TRUE(transport.is_closing());
    EXPECT_FALSE(transport.is_reading());
    EXPECT_EQ(transport.get_write_buffer_size(), 0U);
    EXPECT_EQ(transport.get_protocol(), nullptr);
    EXPECT_EQ(transport.get_extra_info<Address>("sockname"), std::nullopt);
  }
}

// L6: closing the loop drops everything without a word.
TEST_P(EveryDatagram, GoesSilentlyWithItsLoop) {
  const DatagramPair sockets = pair();
  send(sockets, "never seen");
  loop().close();
  EXPECT_EQ(sockets.right.calls, calls("connection_made"));
  EXPECT_TRUE(sockets.right.transport.is_closing());
  sockets.right.transport.sendto("x", sockets.left.address());
}

// X2: sockname; peername of connected sockets only; the default for anything else.
TEST_P(EveryDatagram, TellsItsAddresses) {
  const DatagramPair sockets = pair();
  const DatagramTransport left = sockets.left.transport;
  EXPECT_EQ(left.get_extra_info<Address>("sockname").value().family(), maker().family());
  EXPECT_EQ(left.get_extra_info<Address>("peername"),
            maker().connected ? std::optional(sockets.right.address()) : std::nullopt);
  EXPECT_EQ(sockets.right.transport.get_extra_info<Address>("peername"), std::nullopt);
  EXPECT_EQ(std::get<std::string>(left.get_extra_info("no such thing", std::string("none"))),
            "none");
  if (const auto socket = left.get_extra_info<SocketView>("socket")) {
    EXPECT_GE(socket->descriptor, 0);
    EXPECT_EQ(socket->sockname, sockets.left.address());
  }
}

}  // namespace weir::test
