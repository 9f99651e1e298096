// Chapter 6: sending datagrams, what goes wrong with them, and answering many at once.

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
namespace {

using Texts = std::vector<std::string>;

class ConnectedDatagram : public EveryDatagram {};
class UnconnectedDatagram : public EveryDatagram {};

INSTANTIATE_TEST_SUITE_P(Behaviour, ConnectedDatagram,
                         ::testing::ValuesIn(datagram_makers_where([](const auto& maker) {
                           return maker.connected;
                         })),
                         datagram_maker_name);
INSTANTIATE_TEST_SUITE_P(Behaviour, UnconnectedDatagram,
                         ::testing::ValuesIn(datagram_makers_where([](const auto& maker) {
                           return !maker.connected;
                         })),
                         datagram_maker_name);

}  // namespace

// --- Sending ----------------------------------------------------------------------------------------

// D6: with a peer no other address may be given, and the error names both.
TEST_P(ConnectedDatagram, SendsToItsPeerOnly) {
  const DatagramPair sockets = pair();
  const Address peer = sockets.right.address();
  const Address other = sockets.left.address();
  sockets.left.transport.sendto("a", peer);
  try {
    sockets.left.transport.sendto("b", other);
    FAIL() << "nothing thrown";
  } catch (const std::invalid_argument& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(peer.to_string()), std::string::npos) << text;
    EXPECT_NE(text.find(other.to_string()), std::string::npos) << text;
  }
  sockets.left.transport.sendto("c");
  wait_for(sockets.right, 2);
  EXPECT_EQ(sockets.right.received, (Texts{"a", "c"}));
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));
}

// D7: without any destination the protocol is told, and the transport stays.
TEST_P(UnconnectedDatagram, TellsThatADestinationIsRequired) {
  const DatagramPair sockets = pair();
  sockets.left.transport.sendto("nowhere");
  EXPECT_EQ(sockets.left.errors.at(0), std::errc::destination_address_required);
  send(sockets, "somewhere");
  wait_for(sockets.right, 1);
  EXPECT_EQ(sockets.right.received, Texts{"somewhere"});
}

// D10: a destination of another family is an error of this datagram alone.
TEST_P(UnconnectedDatagram, TellsOfADestinationOfAnotherFamily) {
  const DatagramPair sockets = pair();
  const Address other = maker().family() == AddressFamily::unix_socket
                            ? *Address::parse("127.0.0.1", 9)
                            : Address::unix_socket("/nowhere");
  sockets.left.transport.sendto("lost", other);
  EXPECT_EQ(sockets.left.count("error_received"), 1U);
  send(sockets, "kept");
  wait_for(sockets.right, 1);
  EXPECT_EQ(sockets.right.received, Texts{"kept"});
}

// D10, D11: a datagram that is one byte too large is lost with an error, told from inside sendto(); the
// others go on.
TEST_P(EveryDatagram, TellsOfADatagramOf65508BytesAndGoesOn) {
  const DatagramPair sockets = pair();
  send(sockets, "before");
  send(sockets, pattern(maker().too_large()));
  ASSERT_EQ(sockets.left.errors.size(), 1U);
  EXPECT_EQ(sockets.left.errors[0], std::errc::message_size);
  send(sockets, "after");
  wait_for(sockets.right, 2);
  EXPECT_EQ(sockets.right.received, (Texts{"before", "after"}));
  EXPECT_FALSE(sockets.left.transport.is_closing());
}

// D2: the largest datagram there is arrives whole.
TEST_P(EveryDatagram, CarriesTheLargestUdpDatagram) {
  const DatagramPair sockets = pair();
  const std::string largest = pattern(65'507);
  send(sockets, largest);
  wait_for(sockets.right, 1);
  EXPECT_EQ(sockets.right.received, Texts{largest});
  EXPECT_EQ(sockets.left.calls, calls("connection_made"));
}

// D9, D10: a peer's port that is closed refuses; the transport lives, and works once the port is back.
TEST_P(ConnectedDatagram, TellsOfAClosedPortAndLives) {
  const DatagramPair sockets = pair();
  sockets.right.transport.abort();
  run_until([&] { return sockets.right.lost() && sockets.right.protocols_alive == 0; });
  iterate(2);  // the socket is closed after connection_lost() [B7]
  DatagramRecorder& left = sockets.left;
  run_until([&] {
    left.transport.sendto("anybody there?");
    return left.count("error_received") >= 2;
  });
  EXPECT_EQ(left.errors[0], std::errc::connection_refused);
  EXPECT_FALSE(left.transport.is_closing());
  DatagramRecorder& other = open(new_recorder(), maker().bound());
  other.transport.sendto("to the left", left.address());
  settle();
  left.transport.close();
  run_until([&] { return left.lost(); });
  EXPECT_FALSE(left.reason);
}

// D10: nobody at a path is an error of that datagram.
TEST_P(UnconnectedDatagram, TellsOfAPathWhereNobodyIs) {
  if (!maker().is_unix()) return;
  const DatagramPair sockets = pair();
  sockets.left.transport.sendto("lost", Address::unix_socket(new_socket_path()));
  EXPECT_EQ(sockets.left.errors.at(0), std::errc::no_such_file_or_directory);
  send(sockets, "kept");
  wait_for(sockets.right, 1);
}

// D11: error_received() may send, and close, from inside sendto().
TEST_P(EveryDatagram, MaySendAndCloseFromInsideAnError) {
  const DatagramPair sockets = pair();
  const std::string too_large = pattern(maker().too_large());
  sockets.left.on("error_received", [&] {
    send(sockets, "instead");
    sockets.left.transport.close();
    send(sockets, "too late");
  });
  send(sockets, too_large);
  EXPECT_TRUE(sockets.left.transport.is_closing());
  EXPECT_EQ(sockets.left.count("connection_lost"), 0U);
  run_until([&] { return sockets.left.lost(); });
  wait_for(sockets.right, 1);
  settle();
  EXPECT_EQ(sockets.right.received, Texts{"instead"});
}

// D13: what datagram_received() throws is reported; the next datagrams come all the same.
TEST_P(EveryDatagram, SurvivesAnExceptionOfDatagramReceived) {
  const DatagramPair sockets = pair();
  sockets.right.on("datagram_received", [] { throw TestError(); });
  for (const char* text : {"a", "b", "c"}) send(sockets, text);
  wait_for(sockets.right, 3);
  const std::vector<Report> reports = take_whole_reports();
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_TRUE(reports[0].message.starts_with("Exception in callback")) << reports[0].message;
  EXPECT_EQ(reports[0].exception, "test error");
  EXPECT_TRUE(reports[0].has_protocol);
  EXPECT_TRUE(reports[0].has_transport);
  EXPECT_FALSE(sockets.right.transport.is_closing());
}

// D13, D11: what error_received() throws inside sendto() is its caller's; the transport lives.
TEST_P(EveryDatagram, ThrowsWhatErrorReceivedThrows) {
  const DatagramPair sockets = pair();
  sockets.left.on("error_received", [] { throw TestError(); });
  EXPECT_THROW(send(sockets, pattern(maker().too_large())), TestError);
  send(sockets, "after");
  wait_for(sockets.right, 1);
}

// D13: what it throws in the loop is reported.
TEST_P(ConnectedDatagram, ReportsWhatErrorReceivedThrowsInTheLoop) {
  if (maker().is_unix()) return;  // told at once
  const DatagramPair sockets = pair();
  sockets.right.transport.abort();
  run_until([&] { return sockets.right.protocols_alive == 0; });
  iterate(2);
  sockets.left.on("error_received", [] { throw TestError(); });
  sockets.left.transport.sendto("anybody there?");
  run_until([&] { return sockets.left.count("error_received") == 1; });
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
  EXPECT_FALSE(sockets.left.transport.is_closing());
}

// --- Answers to a batch -----------------------------------------------------------------------------

// Answers from inside datagram_received() arrive, in order, before anything sent from the loop's next
// turn.
TEST_P(EveryDatagram, AnswersABurstInOrder) {
  const DatagramPair sockets = pair();
  DatagramRecorder& right = sockets.right;
  right.on("datagram_received", [&] {
    right.transport.sendto("answer to " + right.received.back(), right.senders.back());
    if (right.received.size() > 1) return;
    loop().call_soon([&] { right.transport.sendto("later", right.senders.back()); });
  });
  Texts expected;
  right.transport.pause_reading();
  for (int i = 0; i < 10; ++i) {
    send(sockets, std::to_string(i));
    expected.push_back("answer to " + std::to_string(i));
  }
  settle();
  right.transport.resume_reading();
  wait_for(sockets.left, expected.size() + 1);
  std::erase(sockets.left.received, "later");
  EXPECT_EQ(sockets.left.received, expected);
}

// D10: an answer that cannot be sent costs nothing but itself.
TEST_P(EveryDatagram, TellsOfAnAnswerThatCannotBeSent) {
  const DatagramPair sockets = pair();
  DatagramRecorder& right = sockets.right;
  const std::string too_large = pattern(maker().too_large());
  right.on("datagram_received", [&] {
    const bool bad = right.received.back() == "bad";
    right.transport.sendto(bad ? too_large : right.received.back(), right.senders.back());
  });
  right.transport.pause_reading();
  for (const char* text : {"a", "bad", "b"}) send(sockets, text);
  settle();
  right.transport.resume_reading();
  wait_for(sockets.left, 2);
  run_until([&] { return right.errors.size() == 1; });
  EXPECT_EQ(sockets.left.received, (Texts{"a", "b"}));
  EXPECT_EQ(right.errors[0], std::errc::message_size);
}

// D14: what was answered before close() still goes.
TEST_P(EveryDatagram, AnswersABurstAndCloses) {
  const DatagramPair sockets = pair();
  DatagramRecorder& right = sockets.right;
  right.on("datagram_received", [&] {
    right.transport.sendto("goodbye", right.senders.back());
    right.transport.close();
  });
  right.transport.pause_reading();
  for (const char* text : {"a", "b", "c"}) send(sockets, text);
  settle();
  right.transport.resume_reading();
  wait_for(sockets.left, 1);
  run_until([&] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "datagram_received:a", "connection_lost"));
  EXPECT_EQ(sockets.left.received, Texts{"goodbye"});
}

}  // namespace weir::test
