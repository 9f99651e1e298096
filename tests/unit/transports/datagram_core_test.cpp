// DatagramCore over a channel that does what each test tells it: what a kernel rarely does, often.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "datagram_core_fixture.h"

namespace weir::detail {
namespace {

// D4: with nothing queued it is sent at once; blocked, it waits, and the next ones behind it.
TEST_F(DatagramCoreTest, QueuesBehindABlockedDatagram) {
  start();
  transport.sendto("a", bob);
  EXPECT_EQ(channel->sent, Calls{"a>10.0.0.2:2"});
  channel->room = 0;
  transport.sendto("b", bob);
  transport.sendto("", alice);
  transport.sendto("c", bob);
  EXPECT_EQ(channel->calls, (Calls{"try_send 1", "try_send 1", "start_sending"}));
  EXPECT_EQ(transport.get_write_buffer_size(), 9U + 8 + 9);
  channel->make_room(2);
  EXPECT_EQ(transport.get_write_buffer_size(), 9U);
  channel->make_room(plenty);
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "b>10.0.0.2:2", ">10.0.0.1:1", "c>10.0.0.2:2"}));
  EXPECT_EQ(transport.get_write_buffer_size(), 0U);
  transport.sendto("d", bob);
  EXPECT_EQ(channel->sent.back(), "d>10.0.0.2:2");
  EXPECT_EQ(calls, Calls());
}

// D10, D12: an error in the middle of the queue costs one datagram; the last one's ends the pause.
TEST_F(DatagramCoreTest, GoesOnAfterAnErrorInTheQueue) {
  start();
  transport.set_write_buffer_limits({.high = 20, .low = 0});
  channel->room = 0;
  for (const char* text : {"a", "bad 1", "b", "bad 2"}) transport.sendto(text, bob);
  EXPECT_EQ(calls, Calls{"pause"});
  channel->make_room(plenty);
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "b>10.0.0.2:2"}));
  EXPECT_EQ(calls, (Calls{"pause", "error", "error", "resume"}));
}

// D12, D14: the pending close comes even if the last datagram fails.
TEST_F(DatagramCoreTest, ClosesAfterAnErrorOfTheLastDatagram) {
  start();
  channel->room = 0;
  transport.sendto("a", bob);
  transport.sendto("bad", bob);
  transport.close();
  EXPECT_FALSE(channel->receiving);
  EXPECT_TRUE(transport.is_closing());
  channel->make_room(plenty);
  EXPECT_EQ(channel->sent, Calls{"a>10.0.0.2:2"});
  EXPECT_EQ(calls, (Calls{"error", "lost"}));
  EXPECT_TRUE(channel->closed);
}

// D11: error_received() may send again from inside sendto().
TEST_F(DatagramCoreTest, MaySendFromInsideAnError) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call == "error") transport.sendto("instead", bob);
  };
  transport.sendto("bad", bob);
  EXPECT_EQ(calls, Calls{"error"});
  EXPECT_EQ(channel->sent, Calls{"instead>10.0.0.2:2"});
}

// D11, D12: the same from the queue; what is sent then comes behind what waits.
TEST_F(DatagramCoreTest, MaySendFromInsideAnErrorOfTheQueue) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call == "error") transport.sendto("instead", bob);
  };
  channel->room = 0;
  for (const char* text : {"bad", "a", "bad"}) transport.sendto(text, bob);
  channel->make_room(plenty);
  EXPECT_EQ(calls, (Calls{"error", "error"}));
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "instead>10.0.0.2:2", "instead>10.0.0.2:2"}));
}

// D13: what error_received() throws inside sendto() is the caller's; from the loop it is reported.
TEST_F(DatagramCoreTest, ReportsWhatItCannotThrow) {
  start();
  protocol->action = [](const std::string& call) {
    if (call == "error") throw std::runtime_error("thrown");
  };
  EXPECT_THROW(transport.sendto("bad", bob), std::runtime_error);
  channel->room = 0;
  transport.sendto("bad", bob);
  transport.sendto("a", bob);
  channel->make_room(plenty);
  EXPECT_EQ(channel->sent, Calls{"a>10.0.0.2:2"});
  channel->events->on_receive_failed(std::make_error_code(std::errc::connection_refused));
  EXPECT_EQ(take_reports(), (Calls{"Exception in callback error_received()",
                                   "Exception in callback error_received()"}));
  EXPECT_FALSE(transport.is_closing());
}

// F5, F6, D8: the size is that of lengths and eight bytes each; both marks are exact.
TEST_F(DatagramCoreTest, PausesStrictlyOverHighAndResumesAtLow) {
  start();
  transport.set_write_buffer_limits({.high = 18, .low = 9});
  channel->room = 0;
  transport.sendto("a", bob);
  transport.sendto("b", bob);
  EXPECT_EQ(calls, Calls());  // 18 is not over 18
  transport.sendto("", bob);
  EXPECT_EQ(calls, Calls{"pause"});
  transport.sendto("c", bob);
  channel->make_room(2);
  EXPECT_EQ(calls, Calls{"pause"});  // 8 + 9
  channel->make_room(1);
  EXPECT_EQ(calls, (Calls{"pause", "resume"}));  // 9
}

// F13, F17: abort() inside pause_writing() drops the queue, and nothing is resumed.
TEST_F(DatagramCoreTest, MayAbortInsidePauseWriting) {
  start();
  transport.set_write_buffer_limits({.high = 0});
  protocol->action = [this](const std::string& call) {
    if (call == "pause") transport.abort();
  };
  channel->room = 0;
  transport.sendto("a", bob);
  EXPECT_EQ(transport.get_write_buffer_size(), 0U);
  channel->make_room(plenty);
  EXPECT_EQ(channel->sent, Calls());
  loop.run_once();
  EXPECT_EQ(calls, (Calls{"pause", "lost"}));
  EXPECT_TRUE(channel->closed);
}

// D6: with a peer, its address is the only one, and is not given to the socket.
TEST_F(DatagramCoreTest, SendsToThePeerOnly) {
  start(bob);
  transport.sendto("a");
  transport.sendto("b", bob);
  try {
    transport.sendto("c", alice);
    FAIL() << "nothing thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "this socket sends to 10.0.0.2:2 only, not to 10.0.0.1:1");
  }
  EXPECT_EQ(channel->sent, (Calls{"a", "b"}));
}

// D6, D20: the same where the socket is not connected.
TEST_F(DatagramCoreTest, SendsToTheDefaultDestinationOnly) {
  start(std::nullopt, bob);
  transport.sendto("a");
  transport.sendto("b", bob);
  EXPECT_THROW(transport.sendto("c", alice), std::invalid_argument);
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "b>10.0.0.2:2"}));
  EXPECT_EQ(transport.get_extra_info<Address>("peername"), std::nullopt);
}

// D7: a peer without a name is a peer; a destination without one is none.
TEST_F(DatagramCoreTest, KnowsAPeerWithoutAName) {
  start(Address::unix_socket(""));
  transport.sendto("a");
  transport.sendto("b", Address::unix_socket(""));
  EXPECT_THROW(transport.sendto("c", bob), std::invalid_argument);
  EXPECT_EQ(channel->sent, (Calls{"a", "b"}));
  EXPECT_EQ(transport.get_extra_info<Address>("peername"), std::nullopt);
}

// D7: no destination at all is told, and is not the end.
TEST_F(DatagramCoreTest, TellsThatADestinationIsRequired) {
  start();
  transport.sendto("a");
  transport.sendto("b", Address::unix_socket(""));
  EXPECT_EQ(calls, (Calls{"error", "error"}));
  EXPECT_EQ(channel->calls, Calls());
  EXPECT_FALSE(transport.is_closing());
}

// D15, S27: after the end datagrams are dropped; wrong ones are still wrong [D6].
TEST_F(DatagramCoreTest, DropsWhatComesAfterTheEnd) {
  start(bob);
  transport.abort();
  transport.sendto("a");
  EXPECT_THROW(transport.sendto("b", alice), std::invalid_argument);
  EXPECT_EQ(channel->calls, Calls());
  loop.run_once();
  EXPECT_EQ(calls, Calls{"lost"});
  transport.sendto("c", alice);
}

// The typed options throw what the system refuses, with what was attempted.
TEST_F(DatagramCoreTest, ThrowsWhatTheSystemRefuses) {
  start();
  transport.join_group(alice);
  try {
    transport.join_group(bob, alice);
    FAIL() << "nothing thrown";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::invalid_argument);
    EXPECT_TRUE(std::string_view(error.what()).starts_with("join the group 10.0.0.2 on 10.0.0.1"))
        << error.what();
  }
  EXPECT_THROW(transport.leave_group(bob), std::system_error);
  EXPECT_THROW(transport.set_ttl(-1), std::system_error);
  EXPECT_THROW(transport.set_multicast_ttl(-1), std::system_error);
  transport.set_multicast_loop(false);
  transport.set_multicast_interface(alice);
  transport.abort();
  loop.run_once();
  transport.join_group(bob);
  transport.set_ttl(-1);
}

}  // namespace
}  // namespace weir::detail
