// DatagramCore: several datagrams received together, and their answers.

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

class DatagramBatchesTest : public DatagramCoreTest {};

// Answers to a batch leave together, at its end.
TEST_F(DatagramBatchesTest, SendsTheAnswersToABatchTogether) {
  start();
  echo();
  EXPECT_EQ(deliver({"a", "b", "c"}), 3U);
  EXPECT_EQ(channel->calls, Calls{"try_send 3"});
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "b>10.0.0.2:2", "c>10.0.0.2:2"}));
  EXPECT_EQ(transport.get_write_buffer_size(), 0U);
}

// D4: the answer to one alone is sent at once.
TEST_F(DatagramBatchesTest, SendsTheAnswerToASingleDatagramAtOnce) {
  start();
  protocol->action = [this](const std::string&) {
    transport.sendto("answer", bob);
    EXPECT_EQ(channel->sent, Calls{"answer>10.0.0.2:2"});
  };
  EXPECT_EQ(deliver({"a"}), 1U);
}

// No more than max_datagrams are kept back.
TEST_F(DatagramBatchesTest, SendsEarlierWhenManyWait) {
  start();
  protocol->action = [this](const std::string& call) {
    for (int i = 0; i < 100 && call == "got a"; ++i) transport.sendto("x", bob);
    EXPECT_EQ(channel->sent.size(), 64U);
  };
  deliver({"a", "b"});
  EXPECT_EQ(channel->calls, (Calls{"try_send 64", "try_send 36"}));
  EXPECT_EQ(channel->sent.size(), 100U);
}

// F5: keeping back never pauses, not even with a high-water mark of zero [F15].
TEST_F(DatagramBatchesTest, NeverPausesForWhatItKeepsBack) {
  start();
  transport.set_write_buffer_limits({.high = 20});
  echo();
  deliver({"a", "b", "c", "d", "e"});
  EXPECT_EQ(channel->calls, (Calls{"try_send 2", "try_send 2", "try_send 1"}));
  transport.set_write_buffer_limits({.high = 0});
  channel->calls.clear();
  deliver({"f", "g"});
  EXPECT_EQ(channel->calls, (Calls{"try_send 1", "try_send 1"}));
  EXPECT_EQ(calls, (Calls{"got a", "got b", "got c", "got d", "got e", "got f", "got g"}));
}

// F14: lower limits make way for what is kept back before they count it.
TEST_F(DatagramBatchesTest, SendsWhatItKeepsBackBeforeNewLimits) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call != "got a") return;
    transport.sendto("x", bob);
    transport.set_write_buffer_limits({.high = 0});
    EXPECT_EQ(channel->sent.size(), 1U);
  };
  deliver({"a", "b"});
  EXPECT_EQ(calls, (Calls{"got a", "got b"}));
}

// F5, F8, F9: the kernel takes no more in the middle of a batch.
TEST_F(DatagramBatchesTest, PausesInABatchWhenTheKernelIsFull) {
  start();
  transport.set_write_buffer_limits({.high = 18, .low = 0});
  echo();
  channel->room = 1;
  EXPECT_EQ(deliver({"a", "b", "c", "d", "e"}), 5U);
  EXPECT_EQ(channel->calls, (Calls{"try_send 2", "start_sending"}));
  EXPECT_EQ(calls, (Calls{"got a", "got b", "got c", "got d", "pause", "got e"}));
  EXPECT_EQ(transport.get_write_buffer_size(), 4U * 9);
  channel->make_room(plenty);
  EXPECT_EQ(calls.back(), "resume");
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "b>10.0.0.2:2", "c>10.0.0.2:2", "d>10.0.0.2:2",
                                  "e>10.0.0.2:2"}));
}

// D10: an error in a batch of answers costs one of them, and is told at the end.
TEST_F(DatagramBatchesTest, TellsErrorsOfABatchAtItsEnd) {
  start();
  echo();
  deliver({"bad 1", "a", "bad 2", "b"});
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "b>10.0.0.2:2"}));
  EXPECT_EQ(calls, (Calls{"got bad 1", "got a", "got bad 2", "got b", "error", "error"}));
}

// D11: sending from inside these errors comes behind what waits.
TEST_F(DatagramBatchesTest, MaySendFromInsideAnErrorOfABatch) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call.starts_with("got ")) transport.sendto(call.substr(4), bob);
    if (call == "error") transport.sendto("instead", bob);
  };
  deliver({"bad", "a"});
  EXPECT_EQ(channel->sent, (Calls{"a>10.0.0.2:2", "instead>10.0.0.2:2"}));
  EXPECT_EQ(transport.get_write_buffer_size(), 0U);
}

// F7: an answer to an error that finds the marks crossed does not pause what is being sent.
TEST_F(DatagramBatchesTest, NeverPausesForWhatItIsSending) {
  start();
  transport.set_write_buffer_limits({.high = 30, .low = 0});
  protocol->action = [this](const std::string& call) {
    if (call.starts_with("got ")) transport.sendto(call.substr(4), bob);
    for (int i = 0; i < 5 && call == "error"; ++i) transport.sendto("more", bob);
  };
  deliver({"bad", "a"});
  EXPECT_EQ(channel->sent.size(), 6U);
  EXPECT_EQ(calls, (Calls{"got bad", "got a", "error"}));
}

// F5: the same when the kernel is full before it has taken them all.
TEST_F(DatagramBatchesTest, PausesAtTheEndOfABatchWhenTheKernelIsFull) {
  start();
  transport.set_write_buffer_limits({.high = 30, .low = 0});
  protocol->action = [this](const std::string& call) {
    if (call.starts_with("got ")) transport.sendto(call.substr(4), bob);
    for (int i = 0; i < 5 && call == "error"; ++i) transport.sendto("more", bob);
  };
  channel->room = 1;
  deliver({"bad", "a"});
  EXPECT_EQ(calls, (Calls{"got bad", "got a", "error", "pause"}));
  channel->make_room(plenty);
  EXPECT_EQ(calls.back(), "resume");
  EXPECT_EQ(channel->sent.size(), 6U);
}

// D13: a protocol that throws gets the rest of the batch all the same.
TEST_F(DatagramBatchesTest, DeliversTheRestAfterAnException) {
  start();
  protocol->action = [](const std::string& call) {
    if (call == "got a") throw std::runtime_error("thrown");
  };
  EXPECT_EQ(deliver({"a", "b"}), 2U);
  EXPECT_EQ(calls, (Calls{"got a", "got b"}));
  EXPECT_EQ(take_reports(), Calls{"Exception in callback datagram_received()"});
}

// S8, D16: after pause_reading() the rest stays with the channel, as does what comes after close().
TEST_F(DatagramBatchesTest, TakesNoMoreOnceItMayNot) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call == "got b") transport.pause_reading();
    if (call == "got d") transport.close();
  };
  EXPECT_EQ(deliver({"a", "b", "c"}), 2U);
  EXPECT_FALSE(channel->receiving);
  transport.resume_reading();
  EXPECT_TRUE(channel->receiving);
  EXPECT_EQ(deliver({"c", "d", "e"}), 2U);
  EXPECT_FALSE(channel->receiving);
  loop.run_once();
  EXPECT_EQ(calls, (Calls{"got a", "got b", "got c", "got d", "lost"}));
}

// S9, S11: pausing and resuming inside the same callback changes nothing.
TEST_F(DatagramBatchesTest, MayPauseAndResumeInABatch) {
  start();
  protocol->action = [this](const std::string&) {
    transport.pause_reading();
    transport.resume_reading();
  };
  EXPECT_EQ(deliver({"a", "b"}), 2U);
  EXPECT_TRUE(channel->receiving);
}

// D14: close() in a batch waits for what is kept back.
TEST_F(DatagramBatchesTest, SendsWhatItKeepsBackBeforeItCloses) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call != "got a") return;
    transport.sendto("goodbye", bob);
    transport.close();
    EXPECT_EQ(channel->sent, Calls());
  };
  EXPECT_EQ(deliver({"a", "b"}), 1U);
  EXPECT_EQ(channel->sent, Calls{"goodbye>10.0.0.2:2"});
  EXPECT_EQ(calls, Calls{"got a"});  // connection_lost() is scheduled [B6]
  loop.run_once();
  EXPECT_EQ(calls, (Calls{"got a", "lost"}));
}

// D14: abort() in a batch drops it.
TEST_F(DatagramBatchesTest, DropsWhatItKeepsBackWhenAborted) {
  start();
  protocol->action = [this](const std::string& call) {
    if (call != "got a") return;
    transport.sendto("never", bob);
    transport.abort();
  };
  EXPECT_EQ(deliver({"a", "b"}), 1U);
  EXPECT_EQ(channel->calls, Calls());
  loop.run_once();
  EXPECT_EQ(calls, (Calls{"got a", "lost"}));
}

// B12, B13: the rest of a batch goes to the new protocol.
TEST_F(DatagramBatchesTest, HandsTheRestToTheNextProtocol) {
  start();
  Calls next_calls;
  const auto next = std::make_shared<Recording>(next_calls);
  protocol->action = [&](const std::string& call) {
    if (call == "got a") transport.set_protocol(next);
  };
  EXPECT_EQ(deliver({"a", "b", "c"}), 3U);
  EXPECT_EQ(calls, Calls{"got a"});
  EXPECT_EQ(next_calls, (Calls{"got b", "got c"}));
  EXPECT_EQ(transport.get_protocol(), next);
  EXPECT_THROW(transport.set_protocol(nullptr), std::invalid_argument);
}

// C10: what leaves the loop leaves the rest of the batch with the channel; answers are still sent.
TEST_F(DatagramBatchesTest, StopsForAFatalException) {
  start();
  loop.set_fatal_exception_predicate([](const std::exception_ptr&) { return true; });
  protocol->action = [this](const std::string& call) {
    transport.sendto("answer", bob);
    if (call == "got b") throw std::runtime_error("fatal");
  };
  EXPECT_EQ(deliver({"a", "b", "c"}), 2U);
  EXPECT_EQ(channel->sent.size(), 2U);
  EXPECT_THROW(loop.run_once(), std::runtime_error);
  EXPECT_FALSE(transport.is_closing());
}

}  // namespace
}  // namespace weir::detail
