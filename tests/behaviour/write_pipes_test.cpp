// Chapter I, the write side: pipes that are written to.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "every_pipe.h"
#include "loop_support.h"

namespace weir::test {
namespace {

const std::string too_late =
    "warning: pipe closed by peer or os.write(pipe, data) raised exception.";

/// A protocol with nothing but the base callbacks.
class BareProtocol : public BaseProtocol {
 public:
  explicit BareProtocol(Calls& calls) : calls_(calls) {}
  void connection_made(Transport transport) override {
    calls_.emplace_back("connection_made");
    made = transport;
  }
  void connection_lost(const CloseReason&) override { calls_.emplace_back("connection_lost"); }
  void pause_writing() override { calls_.emplace_back("pause_writing"); }
  void resume_writing() override { calls_.emplace_back("resume_writing"); }

  Transport made;

 private:
  Calls& calls_;
};

/// An object that derives from nothing, and wants to know the end only.
struct LostDuck {
  Calls& calls;
  void connection_lost(const CloseReason&) { calls.emplace_back("connection_lost"); }
};

/// One that wants to know nothing.
struct SilentDuck {};

}  // namespace

// I9: the protocol of a write pipe needs the base callbacks only, whose order is that of all protocols.
TEST_P(EveryPipe, WritesForABaseProtocol) {
  const PipeEnds ends = make_ends();
  Recorder& reader = new_reader();
  connect_reader(reader, ends.read_end);
  Calls told;
  const auto writing = run_until_done(connect_write_pipe(
      loop(), [&] { return std::make_unique<BareProtocol>(told); }, ends.write_end));
  EXPECT_EQ(writing.transport, writing.protocol->made);
  EXPECT_EQ(writing.transport.get_protocol(), writing.protocol);
  reader.transport.pause_reading();
  writing.transport.set_write_buffer_limits({.high = 0});
  const std::string bytes = pattern(1 * MiB);
  writing.transport.write(bytes);
  reader.transport.resume_reading();
  run_until([&] { return reader.received.size() == bytes.size(); });
  writing.transport.close();
  run_until([&] { return reader.lost() && told.back() == "connection_lost"; });
  EXPECT_TRUE(reader.received == bytes);
  EXPECT_EQ(told, calls("connection_made", "pause_writing", "resume_writing", "connection_lost"));
}

// I9: any object will do, by pointer or by value, and so will a type.
TEST_P(EveryPipe, WritesForAnyObject) {
  Calls told;
  const auto write_once = [&](auto connect) {
    const PipeEnds ends = make_ends();
    Recorder& reader = new_reader();
    connect_reader(reader, ends.read_end);
    const auto writing = run_until_done(connect(ends.write_end));
    writing.transport.write("hello");
    writing.transport.close();
    run_until([&] { return reader.lost(); });
    EXPECT_EQ(reader.received, "hello");
  };
  write_once([&](int pipe) {
    return connect_write_pipe(
        loop(), [&] { return LostDuck{told}; }, pipe);
  });
  write_once([&](int pipe) {
    return connect_write_pipe(
        loop(), [&] { return std::make_shared<LostDuck>(LostDuck{told}); }, pipe);
  });
  write_once([&](int pipe) {
    return connect_write_pipe(
        loop(), [] { return AnyProtocol::write_only(std::make_shared<BaseProtocol>()); }, pipe);
  });
  write_once([&](int pipe) { return connect_write_pipe<SilentDuck>(loop(), pipe); });
  write_once([&](int pipe) { return connect_write_pipe<BaseProtocol>(loop(), pipe); });
  write_once([&](int pipe) { return connect_write_pipe<Protocol>(loop(), pipe); });
  EXPECT_EQ(told, calls("connection_lost", "connection_lost"));
}

// S22-S24, I9: what cannot be written is queued, in order, whichever way it was written.
TEST_P(EveryPipe, QueuesWhatCannotBeWritten) {
  const CloggedPipe pipe = clogged_pipe();
  const std::string text = pattern(10 * KiB, 3);
  pipe.writer.transport.write("one ");
  pipe.writer.transport.writelines({as_bytes("two "), as_bytes(""), as_bytes("three ")});
  pipe.writer.transport.write(Buffer(std::string(text)));
  pipe.writer.transport.write("");
  const std::size_t queued = 14 + text.size();
  EXPECT_EQ(pipe.writer.transport.get_write_buffer_size(), pipe.base + queued);
  unclog(pipe);
  run_until([&] { return pipe.reader.received.size() == pipe.written + queued; });
  EXPECT_EQ(pipe.reader.received.substr(pipe.written), "one two three " + text);
}

// F5-F8, I9: flow control is that of all transports that write.
TEST_P(EveryPipe, PausesAndResumesItsWriter) {
  const CloggedPipe pipe = clogged_pipe();
  const std::size_t high = pipe.base + 4;
  pipe.writer.transport.set_write_buffer_limits({.high = high, .low = 0});
  pipe.writer.transport.write("1234");
  EXPECT_EQ(pipe.writer.calls, calls("connection_made"));
  pipe.writer.transport.write("5");
  pipe.writer.transport.write("6");
  EXPECT_EQ(pipe.writer.calls, calls("connection_made", "pause_writing"));
  unclog(pipe);
  run_until([&] { return pipe.writer.count("resume_writing") == 1; });
  EXPECT_EQ(pipe.writer.transport.get_write_buffer_size(), 0U);
  EXPECT_EQ(pipe.writer.calls, calls("connection_made", "pause_writing", "resume_writing"));
}

// I10: that the reader has gone is noticed without writing, and is no error.
TEST_P(EveryPipe, NoticesThatTheReaderHasGone) {
  auto [reader, writer] = connected_pipe();
  writer.transport.write("hello");
  run_until([&reader = reader] { return reader.received == "hello"; });
  reader.transport.close();
  run_until([&writer = writer] { return writer.lost(); });
  EXPECT_EQ(writer.calls, calls("connection_made", "connection_lost"));
}

// I10: gone with bytes pending, it is a broken pipe, and nothing is resumed.
TEST_P(EveryPipe, BreaksWhenTheReaderGoesWithBytesPending) {
  const CloggedPipe pipe = clogged_pipe();
  pipe.writer.transport.set_write_buffer_limits({.high = 0});
  pipe.reader.transport.close();
  run_until([&] { return pipe.writer.lost(); });
  EXPECT_EQ(pipe.writer.calls,
            calls("connection_made", "pause_writing", "connection_lost:disconnected"));
  EXPECT_EQ(pipe.writer.reason.code(), std::errc::broken_pipe);
}

// I10, S16: so it is while close() still has to flush.
TEST_P(EveryPipe, BreaksWhenTheReaderGoesDuringTheFlush) {
  const CloggedPipe pipe = clogged_pipe();
  pipe.writer.transport.close();
  settle();
  EXPECT_FALSE(pipe.writer.lost());
  pipe.reader.transport.close();
  run_until([&] { return pipe.writer.lost(); });
  EXPECT_EQ(pipe.writer.calls, calls("connection_made", "connection_lost:disconnected"));
}

// I14, S26: a write that finds the reader gone returns normally: no signal, no report.
TEST_P(EveryPipe, SurvivesAWriteWithoutAReader) {
  auto [reader, writer] = connected_pipe();
  reader.transport.close();
  run_until([&reader = reader] { return reader.lost(); });
  // Its end is closed now, and the loop has not told the writer.
  writer.transport.write("anybody there?");
  EXPECT_FALSE(writer.lost());
  run_until([&writer = writer] { return writer.lost(); });
  EXPECT_EQ(writer.count("connection_lost"), 1U);
}

// I12: close() flushes what was written; is_closing() is true at once.
TEST_P(EveryPipe, FlushesBeforeItCloses) {
  const CloggedPipe pipe = clogged_pipe();
  pipe.writer.transport.write("the end");
  pipe.writer.transport.close();
  EXPECT_TRUE(pipe.writer.transport.is_closing());
  unclog(pipe);
  run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
  EXPECT_EQ(pipe.reader.received.substr(pipe.written), "the end");
  EXPECT_EQ(pipe.writer.calls, calls("connection_made", "connection_lost"));
}

// I12: write_eof() is close().
TEST_P(EveryPipe, ClosesWithWriteEof) {
  const CloggedPipe pipe = clogged_pipe();
  pipe.writer.transport.write_eof();
  EXPECT_TRUE(pipe.writer.transport.is_closing());
  pipe.writer.transport.write_eof();
  unclog(pipe);
  run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
  EXPECT_EQ(pipe.reader.received.size(), pipe.written);
  EXPECT_EQ(pipe.writer.calls, calls("connection_made", "connection_lost"));
}

// I12, S27: a write after close() is dropped, also while it flushes; when five are counted, each further
// one is worth a warning.
TEST_P(EveryPipe, DropsWhatIsWrittenAfterClose) {
  const CloggedPipe pipe = clogged_pipe();
  pipe.writer.transport.close();
  for (int i = 0; i < 5; ++i) pipe.writer.transport.write("too late");
  pipe.writer.transport.write("");
  EXPECT_EQ(take_logs(), Calls());
  pipe.writer.transport.write("too late");
  pipe.writer.transport.writelines({as_bytes("too"), as_bytes("late")});
  EXPECT_EQ(take_logs(), calls(too_late, too_late));
  EXPECT_EQ(pipe.writer.transport.get_write_buffer_size(), pipe.base);
  unclog(pipe);
  run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
  EXPECT_EQ(pipe.reader.received.size(), pipe.written);
}

// S29, I12: what is written in connection_lost() goes nowhere.
TEST_P(EveryPipe, DropsWhatIsWrittenInConnectionLost) {
  const CloggedPipe pipe = clogged_pipe();
  pipe.writer.on("connection_lost", [&] { pipe.writer.transport.write("from beyond"); });
  pipe.writer.transport.close();
  unclog(pipe);
  run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
  EXPECT_EQ(pipe.reader.received.size(), pipe.written);
}

// I13, S17: abort() drops what is queued, and the end has no error; after close() it cuts the flush short.
TEST_P(EveryPipe, DropsItsQueueAtAbort) {
  for (const bool close_first : {false, true}) {
    const CloggedPipe pipe = clogged_pipe();
    if (close_first) pipe.writer.transport.close();
    pipe.writer.transport.abort();
    EXPECT_EQ(pipe.writer.transport.get_write_buffer_size(), 0U);
    EXPECT_FALSE(pipe.writer.lost());
    unclog(pipe);
    run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
    EXPECT_EQ(pipe.writer.calls, calls("connection_made", "connection_lost"));
    EXPECT_EQ(pipe.reader.received.size(), pipe.written - pipe.base);
  }
}

// F10, I12: close() in resume_writing() and in pause_writing() ends it once.
TEST_P(EveryPipe, ClosesInsideFlowControl) {
  for (const char* callback : {"pause_writing", "resume_writing"}) {
    const CloggedPipe pipe = clogged_pipe();
    pipe.writer.on(callback, [&] { pipe.writer.transport.close(); });
    pipe.writer.transport.set_write_buffer_limits({.high = 0});
    unclog(pipe);
    run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
    EXPECT_EQ(pipe.writer.calls,
              calls("connection_made", "pause_writing", "resume_writing", "connection_lost"));
    EXPECT_EQ(pipe.reader.received.size(), pipe.written);
  }
}

// B10, F16: what the writer's callbacks throw is reported, and changes nothing.
TEST_P(EveryPipe, ReportsWhatItsWriterThrows) {
  const CloggedPipe pipe = clogged_pipe();
  for (const char* callback : {"pause_writing", "resume_writing", "connection_lost"}) {
    pipe.writer.on(callback, [] { throw TestError(); });
  }
  pipe.writer.transport.set_write_buffer_limits({.high = 0});
  unclog(pipe);
  run_until([&] { return pipe.writer.count("resume_writing") == 1; });
  pipe.writer.transport.close();
  run_until([&] { return pipe.reader.lost() && pipe.writer.lost(); });
  EXPECT_EQ(take_reports(), calls("protocol.pause_writing() failed [test error]",
                                  "protocol.resume_writing() failed [test error]",
                                  "Exception in callback [test error]"));
}

}  // namespace weir::test
