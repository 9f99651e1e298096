#include <string>
#include <system_error>
#include <utility>

#include "simulated_fixture.h"

namespace weir::test_backend {
namespace {

using detail::PipeEnd;

/// `left` writes and `right` reads.
class SimulatedPipes : public SimulatedBackendTest {
 protected:
  explicit SimulatedPipes(const SimulationOptions& options = {}) : SimulatedBackendTest(options) {}

  std::unique_ptr<StreamChannel> adopt(int number, PipeEnd end) {
    auto channel = backend->adopt_pipe(number, end);
    EXPECT_TRUE(channel) << channel.error();
    return std::move(channel.value());
  }
  std::error_code adopt_error(int number, PipeEnd end) {
    return backend->adopt_pipe(number, end).error();
  }
  void make_ends() {
    pipe = backend->make_simulated_pipe().value();
    left.emplace("writer", trace, adopt(pipe.write_end, PipeEnd::write));
    right.emplace("reader", trace, adopt(pipe.read_end, PipeEnd::read));
  }

  SimulatedPipe pipe;
};

TEST_F(SimulatedPipes, HaveNumbersThatOneChannelTakesForOneDirection) {
  const SimulatedPipe first = backend->make_simulated_pipe().value();
  const SimulatedPipe second = backend->make_simulated_pipe().value();
  EXPECT_EQ(first.read_end, 1 << 30);
  EXPECT_EQ(first.write_end, first.read_end + 1);
  EXPECT_EQ(second.read_end, first.read_end + 2);

  EXPECT_EQ(adopt_error(0, PipeEnd::read), std::errc::bad_file_descriptor);
  EXPECT_EQ(adopt_error(first.read_end, PipeEnd::write), std::errc::operation_not_permitted);
  EXPECT_EQ(adopt_error(first.write_end, PipeEnd::read), std::errc::operation_not_permitted);

  EXPECT_FALSE(backend->owns(first.read_end));
  auto channel = adopt(first.read_end, PipeEnd::read);
  EXPECT_EQ(channel->descriptor(), -1);  // it is no kernel's
  EXPECT_TRUE(channel->local_address().empty());
  EXPECT_EQ(channel->local_socket(), nullptr);
  EXPECT_TRUE(backend->owns(first.read_end));
  EXPECT_EQ(adopt_error(first.read_end, PipeEnd::read), std::errc::device_or_resource_busy);
  channel.reset();
  EXPECT_FALSE(backend->owns(first.read_end));
  EXPECT_EQ(adopt_error(first.read_end, PipeEnd::read), std::errc::bad_file_descriptor);
}

TEST_F(SimulatedPipes, CarryBytesInTimeAndThenTheEnd) {
  make_ends();
  right->channel->start_receiving();
  left->channel->start_receiving();
  const TimePoint start = backend->now();
  left->send("one");
  settle();
  EXPECT_GE(backend->now(), start + microseconds(20));
  left->send("two");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"reader: received one", "writer: closed", "reader: received two",
                             "reader: eof"}));
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"reader: closed"}));
}

TEST_F(SimulatedPipes, KeepWhatIsWrittenUntilThereIsAReader) {
  pipe = backend->make_simulated_pipe().value();
  left.emplace("writer", trace, adopt(pipe.write_end, PipeEnd::write));
  left->send("early");
  left->channel->close();
  settle();
  right.emplace("reader", trace, adopt(pipe.read_end, PipeEnd::read));
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"writer: closed", "reader: received early", "reader: eof"}));
}

// I10
TEST_F(SimulatedPipes, TellTheWriterThatItsReaderIsGone) {
  make_ends();
  left->channel->start_receiving();
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"reader: closed", "writer: eof"}));
  left->send("is anybody there?");
  settle();
  EXPECT_EQ(events(), Trace({"writer: send: broken pipe"}));
}

TEST_F(SimulatedPipes, ThatTheReaderLeavesBytesUnreadBreaksNothing) {
  make_ends();
  left->send("unread");
  settle();
  right->channel->close();
  settle();
  left->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"reader: closed", "writer: eof"}));

  make_ends();
  left->send("on the way");
  right->channel->close();
  left->send("too late");
  left->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"reader: closed", "writer: closed"}));
}

TEST_F(SimulatedPipes, AReaderSendsNothing) {
  make_ends();
  right->send("x");
  EXPECT_EQ(events(), Trace({"reader: send: broken pipe"}));
}

TEST_F(SimulatedPipes, EndsThatNobodyTookGoWithTheBackend) {
  pipe = backend->make_simulated_pipe().value();
  left.emplace("writer", trace, adopt(pipe.write_end, PipeEnd::write));
  left->send("unread");
  left.reset();
  backend.reset();
  EXPECT_EQ(events(), Trace());
}

class SmallPipes : public SimulatedPipes {
 protected:
  SmallPipes() : SimulatedPipes({.seed = 3, .max_segment = 4, .buffer_size = 10}) {}
};

TEST_F(SmallPipes, MakeTheWriterWaitUntilBytesAreRead) {
  make_ends();
  std::string text;
  for (int number = 0; number < 500; ++number) text += std::to_string(number);
  left->send(text);
  settle();
  EXPECT_EQ(left->queue.size(), text.size() - 10);
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(right->received, text);
}

TEST_F(SmallPipes, AWriterThatWaitsLearnsThatItsReaderIsGone) {
  make_ends();
  left->send("0123456789abc");
  settle();
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"reader: closed", "writer: failed broken pipe"}));
}

}  // namespace
}  // namespace weir::test_backend
