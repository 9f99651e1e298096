
#include "simulated_fixture.h"

namespace weir::test_backend {
namespace {

// --- Data ----------------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, CarriesBytesBothWaysAndTheEndAfterThem) {
  make_pair();
  left->channel->start_receiving();
  right->channel->start_receiving();
  left->send("ping");
  settle();
  right->send("pong");
  settle();
  left->send("bye");
  left->channel->shutdown_send();
  settle();
  right->send("more");
  settle();
  right->channel->shutdown_send();
  settle();
  EXPECT_EQ(events(), Trace({"right: received ping", "left: received pong", "right: received bye",
                             "right: eof", "left: received more", "left: eof"}));
  left->channel->close();
  right->channel->close();
  EXPECT_EQ(events(), Trace());  // rule 1
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: closed"}));
}

TEST_F(SimulatedBackendTest, WhatAVerbCausesComesAfterAnotherWait) {
  make_pair();
  left->send("x");
  settle();
  right->channel->start_receiving();
  EXPECT_EQ(backend->dispatch(), 0U);
  EXPECT_TRUE(backend->has_pending_events());
  backend->wait(std::nullopt);
  right->channel->stop_receiving();
  right->channel->start_receiving();
  EXPECT_EQ(backend->dispatch(), 0U);
  backend->wait(std::nullopt);
  right->channel->close();
  EXPECT_EQ(backend->dispatch(), 0U);
  backend->wait(std::nullopt);
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_EQ(events(), Trace({"right: closed"}));
}

TEST_F(SimulatedBackendTest, AChannelReceivesOnceADispatchInItsUsersBuffer) {
  make_pair();
  left->send("abcdefgh");
  settle();
  right->own_buffer.resize(3);
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: received abc", "right: received def", "right: received gh"}));
  EXPECT_EQ(text_of(right->last), "gh");  // the user's memory is left alone
}

#ifndef NDEBUG
TEST_F(SimulatedBackendTest, ScribblesOverItsOwnBufferInDebugBuilds) {
  make_pair();
  left->send("abc");
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, "abc");
  EXPECT_EQ(text_of(right->last), "\xdd\xdd\xdd");
}
#endif

TEST_F(SimulatedBackendTest, APausedChannelReadsNothing) {
  make_pair();
  right->channel->start_receiving();
  right->in_received = [&] { right->channel->stop_receiving(); };
  left->send("one");
  settle();
  left->send("two");
  left->channel->shutdown_send();
  settle();
  EXPECT_EQ(events(), Trace({"right: received one"}));
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: received two"}));
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: eof"}));
  right->channel->stop_receiving();
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace());
}

TEST_F(SimulatedBackendTest, NothingIsReceivedWhenTheUserStopsOrClosesWhenAskedForABuffer) {
  make_pair();
  left->send("x");
  right->in_receive_buffer = [&] { right->channel->stop_receiving(); };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace());
  right->in_receive_buffer = [&] { right->channel->close(); };
  right->refuse = true;
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed"}));
}

TEST_F(SimulatedBackendTest, StartingToReceiveWhenAskedForABufferCausesNoOtherEvent) {
  make_pair();
  left->send("x");
  right->in_receive_buffer = [&] { right->channel->start_receiving(); };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: received x"}));
}

TEST_F(SimulatedBackendTest, InterruptedDispatchKeepsTheRest) {
  make_pair();
  left->send("to right");
  right->send("to left");
  settle();
  left->channel->start_receiving();
  right->channel->start_receiving();
  left->in_received = [&] { backend->interrupt_dispatch(); };
  backend->wait(std::nullopt);
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_TRUE(backend->has_pending_events());
  EXPECT_EQ(backend->dispatch(), 1U);
  EXPECT_EQ(events(), Trace({"left: received to left", "right: received to right"}));
}

class SmallBuffers : public SimulatedBackendTest {
 protected:
  SmallBuffers() : SimulatedBackendTest({.seed = 3, .max_segment = 4, .buffer_size = 10}) {}
};

TEST_F(SmallBuffers, TrySendTakesWhatThereIsRoomFor) {
  make_pair();
  const std::vector<ConstBytes> pieces = {bytes_of("01234"), bytes_of(""), bytes_of("56789abc")};
  EXPECT_EQ(left->channel->try_send(pieces).sent, 10U);
  EXPECT_EQ(left->channel->try_send(pieces).sent, 0U);
  settle();
  EXPECT_EQ(left->channel->try_send(pieces).sent, 0U);  // arrived, but not read
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, "0123456789");
  EXPECT_EQ(left->channel->try_send(pieces).sent, 10U);
}

TEST_F(SmallBuffers, SendingGoesOnWhenThereIsRoom) {
  make_pair();
  std::string text;
  for (int number = 0; number < 500; ++number) text += std::to_string(number);
  left->send(text);
  settle();
  EXPECT_EQ(left->queue.size(), text.size() - 10);
  left->in_sent = [&] {
    if (left->queue.empty()) left->channel->shutdown_send();
  };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, text);
  EXPECT_GE(right->receive_events, static_cast<int>(text.size() / 10));
  EXPECT_EQ(trace.back(), "right: eof");
}

TEST_F(SmallBuffers, MoreCanBeSentFromInsideOnSent) {
  make_pair();
  left->send("0123456789ab");
  left->in_sent = [&] {
    if (!left->queue.empty()) return;
    left->in_sent = nullptr;
    left->send("ABCDEFGHIJKLMNOP");
  };
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, "0123456789abABCDEFGHIJKLMNOP");
  EXPECT_FALSE(backend->has_pending_events());
}

TEST_F(SmallBuffers, AResetEndsASendThatWaitsForRoom) {
  make_pair();
  left->send("0123456789abc");
  settle();
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed", "left: failed reset"}));
}

TEST_F(SmallBuffers, SegmentsComeOneByOneOrTogether) {
  make_pair();
  right->channel->start_receiving();
  bool in_one_piece = false;
  for (int round = 0; round < 20; ++round) {
    left->send("01234567");  // two segments at the least
    settle();
    in_one_piece = in_one_piece || right->last.size() == 8;
  }
  EXPECT_TRUE(in_one_piece);
  EXPECT_GE(right->receive_events, 25);
}

// --- Ends ----------------------------------------------------------------------------------------

TEST_F(SimulatedBackendTest, CloseSendsWhatWasSentAndThenTheEnd) {
  make_pair();
  right->channel->start_receiving();
  left->send("last words");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: received last words", "right: eof"}));
}

TEST_F(SimulatedBackendTest, SendingToAClosedPeerWorksOnceAndThenFails) {
  make_pair();
  right->channel->start_receiving();
  left->channel->close();
  settle();
  right->send("is anybody there?");
  EXPECT_EQ(events(), Trace({"left: closed", "right: eof"}));
  settle();
  EXPECT_EQ(events(), Trace());
  right->send("hello?");
  EXPECT_EQ(events(), Trace({"right: send: broken pipe"}));
  settle();
  EXPECT_EQ(events(), Trace());  // told once
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed"}));
}

TEST_F(SimulatedBackendTest, AnErrorOfTrySendIsNotToldAgain) {
  make_pair();
  right->send("unread");
  settle();
  left->channel->close();
  settle();
  right->send("x");
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: send: reset"}));
}

TEST_F(SimulatedBackendTest, ClosingWithUnreadBytesResetsThePeer) {
  make_pair();
  left->channel->start_receiving();
  left->send("read before the reset");
  right->send("unread");
  settle();
  left.reset();  // received it: destroying only ends it
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: received unread", "right: received read before the reset",
                             "right: eof"}));

  make_pair();
  left->send("read before the reset");
  right->send("unread");
  settle();
  left->channel->close();
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: received read before the reset",
                             "right: failed reset"}));
}

TEST_F(SimulatedBackendTest, ClosingWhileBytesArriveEndsThePeerAndThenBreaksIt) {
  make_pair();
  left->channel->start_receiving();
  right->channel->start_receiving();
  right->send("on the way");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: eof"}));
  right->send("x");
  EXPECT_EQ(events(), Trace({"right: send: broken pipe"}));
}

// S13: while paused with nothing to write, a reset is not told until resume.
TEST_F(SimulatedBackendTest, AResetIsNotToldWhilePaused) {
  make_pair();
  right->send("unread");
  settle();
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed"}));
  EXPECT_FALSE(backend->has_pending_events());
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: failed reset"}));
}

TEST_F(SimulatedBackendTest, ClosingOnBothSidesAtOnceIsQuiet) {
  make_pair();
  left->send("a");
  right->send("b");
  left->channel->close();
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: closed"}));
}

TEST_F(SimulatedBackendTest, AChannelMayCloseInItsEventsAndGoInTheLast) {
  make_pair();
  right->channel->start_receiving();
  left->send("one");
  right->in_received = [&] { right->channel->close(); };
  right->in_closed = [&] { right->channel.reset(); };
  run_until([&] { return right->channel == nullptr; });
  left->channel->start_receiving();
  left->send("two");
  settle();
  EXPECT_EQ(events(), Trace({"right: received one", "right: closed", "left: eof"}));
}

TEST_F(SimulatedBackendTest, ChannelsMayGoWithoutEventsBeforeTheBackendGoes) {
  make_pair();
  left->send("on the way");
  right->channel->start_receiving();
  left->channel->start_receiving();
  right->channel->close();
  left.reset();
  right.reset();
  backend.reset();
  EXPECT_EQ(events(), Trace());
}

}  // namespace
}  // namespace weir::test_backend
