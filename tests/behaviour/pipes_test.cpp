// Chapter I, the read side: pipes that are read, and what both sides have in common.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "every_pipe.h"
#include "loop_support.h"

namespace weir::test {

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryPipe, ::testing::ValuesIn(pipe_makers()), pipe_name);

// I4, S2: what is written arrives, in order and whole.
TEST_P(EveryPipe, CarriesBytesInOrder) {
  auto [reader, writer] = connected_pipe();
  std::string sent;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::string lump = pattern(50 * KiB, seed);
    writer.transport.write(lump);
    sent += lump;
  }
  run_until([&, &reader = reader] { return reader.received.size() == sent.size(); });
  EXPECT_TRUE(reader.received == sent);
  EXPECT_EQ(writer.count("connection_lost"), 0U);
}

// B1, B8: connection_made(), then the future, then data that was there before.
TEST_P(EveryPipe, StartsInOrder) {
  const PipeEnds ends = make_ends();
  Recorder& writer = new_writer();
  connect_writer(writer, ends.write_end);
  writer.transport.write("early");
  settle();
  Recorder& reader = new_reader();
  Calls order;
  reader.on("connection_made", [&] { order.emplace_back("connection_made"); });
  reader.on("data_received", [&] { order.emplace_back("data_received"); });
  with_protocols(maker().protocol, [&](auto protocol_of) {
    auto future = connect_read_pipe(loop(), protocol_of(reader), ends.read_end);
    EXPECT_EQ(reader.calls, Calls());
    future.add_done_callback([&](const auto&) { order.emplace_back("future"); });
    run_until([&] { return reader.received == "early"; });
    EXPECT_EQ(future.result().transport, reader.transport);
  });
  EXPECT_EQ(order, calls("connection_made", "future", "data_received"));
}

// S10, I4: a pause in connection_made() holds.
TEST_P(EveryPipe, HonoursAPauseInConnectionMade) {
  Recorder& reader = new_reader();
  reader.on("connection_made", [&] { reader.transport.pause_reading(); });
  Recorder& writer = new_writer();
  connect(reader, writer);
  writer.transport.write("hello");
  settle();
  EXPECT_EQ(reader.calls, calls("connection_made"));
  EXPECT_FALSE(reader.transport.is_reading());
  reader.transport.resume_reading();
  run_until([&] { return reader.received == "hello"; });
}

// S8, S9, S11, S12, I4: pausing and resuming may be repeated; nothing comes in between, nor at once.
TEST_P(EveryPipe, PausesAndResumesReading) {
  auto [reader, writer] = connected_pipe();
  EXPECT_TRUE(reader.transport.is_reading());
  reader.transport.pause_reading();
  reader.transport.pause_reading();
  EXPECT_FALSE(reader.transport.is_reading());
  writer.transport.write("hello");
  settle();
  EXPECT_EQ(reader.received, "");
  reader.transport.resume_reading();
  reader.transport.resume_reading();
  EXPECT_EQ(reader.received, "");
  run_until([&reader = reader] { return reader.received == "hello"; });
}

// I5: at the end of the input the transport is closing, then eof_received() and connection_lost() come.
TEST_P(EveryPipe, EndsWithTheInput) {
  auto [reader, writer] = connected_pipe();
  bool closing = false;
  reader.on("eof_received", [&, &reader = reader] { closing = reader.transport.is_closing(); });
  writer.transport.write("last words");
  writer.transport.close();
  run_until([&reader = reader, &writer = writer] { return reader.lost() && writer.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "data_received:last words", "eof_received",
                                "connection_lost"));
  EXPECT_EQ(writer.calls, calls("connection_made", "connection_lost"));
  EXPECT_TRUE(closing);
}

// I4: a writer that vanishes in the middle of a line leaves the part that it wrote, and then the end.
TEST_P(EveryPipe, DeliversTheUnfinishedLineOfAWriterThatVanishes) {
  auto [reader, writer] = connected_pipe();
  writer.transport.write("a line\nhalf a li");
  writer.transport.abort();
  run_until([&reader = reader] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "data_received:a line\nhalf a li",
                                "eof_received", "connection_lost"));
}

// I6: what eof_received() returns is ignored.
TEST_P(EveryPipe, IgnoresWhatEofReceivedReturns) {
  auto [reader, writer] = connected_pipe();
  reader.keep_open = true;
  writer.transport.close();
  run_until([&reader = reader] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// S7: the end is not told while reading is paused; it comes after all data.
TEST_P(EveryPipe, DoesNotTellTheEndWhilePaused) {
  auto [reader, writer] = connected_pipe();
  reader.transport.pause_reading();
  writer.transport.write("hello");
  writer.transport.close();
  settle();
  EXPECT_EQ(reader.calls, calls("connection_made"));
  EXPECT_FALSE(reader.transport.is_closing());
  reader.transport.resume_reading();
  run_until([&reader = reader] { return reader.lost(); });
  EXPECT_EQ(reader.calls,
            calls("connection_made", "data_received:hello", "eof_received", "connection_lost"));
}

// S14: nothing is delivered after close().
TEST_P(EveryPipe, DeliversNothingAfterClose) {
  auto [reader, writer] = connected_pipe();
  writer.transport.write("hello");
  reader.transport.close();
  EXPECT_TRUE(reader.transport.is_closing());
  EXPECT_FALSE(reader.transport.is_reading());
  run_until([&reader = reader] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "connection_lost"));
}

// I8: what data_received() or buffer_updated() throws is reported, and the pipe stays open.
TEST_P(EveryPipe, StaysOpenWhenItsProtocolThrows) {
  auto [reader, writer] = connected_pipe();
  reader.once("data_received", [] { throw TestError(); });
  writer.transport.write("one");
  run_until([&reader = reader] { return reader.received == "one"; });
  EXPECT_FALSE(reader.transport.is_closing());
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
  writer.transport.write(" two");
  run_until([&reader = reader] { return reader.received == "one two"; });
}

// U4, in a pipe too: without a buffer the bytes have nowhere to go, so a throwing get_buffer() is fatal.
TEST_P(EveryPipe, EndsWhenGetBufferThrows) {
  if (!buffered()) return;
  auto [reader, writer] = connected_pipe();
  reader.on("get_buffer", [] { throw TestError(); });
  writer.transport.write("hello");
  run_until([&reader = reader] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "connection_lost:test error"));
  EXPECT_EQ(take_reports(), calls("Fatal error: protocol.get_buffer() call failed. [test error]"));
}

// U3, in a pipe too: an empty buffer is an error, and the end.
TEST_P(EveryPipe, EndsWhenThereIsNoBuffer) {
  if (!buffered()) return;
  auto [reader, writer] = connected_pipe();
  reader.buffer_size = 0;
  writer.transport.write("hello");
  run_until([&reader = reader] { return reader.lost(); });
  const std::string empty = "get_buffer() returned an empty buffer";
  EXPECT_EQ(reader.calls, calls("connection_made", "connection_lost:" + empty));
  EXPECT_EQ(take_reports(),
            calls("Fatal error: protocol.get_buffer() call failed. [" + empty + ']'));
}

// Table 1: what eof_received() throws is reported; the end comes without an error.
TEST_P(EveryPipe, ReportsWhatEofReceivedThrows) {
  auto [reader, writer] = connected_pipe();
  reader.on("eof_received", [] { throw TestError(); });
  writer.transport.close();
  run_until([&reader = reader] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
}

// B9, table 1: what connection_made() throws is reported, and both ends go on.
TEST_P(EveryPipe, GoesOnWhenConnectionMadeThrows) {
  Recorder& reader = new_reader();
  Recorder& writer = new_writer();
  for (Recorder* end : {&reader, &writer}) end->on("connection_made", [] { throw TestError(); });
  connect(reader, writer);
  writer.transport.write("hello");
  run_until([&] { return reader.received == "hello"; });
  EXPECT_EQ(take_reports(),
            calls("Exception in callback [test error]", "Exception in callback [test error]"));
}

// B12, U10: a pipe is handed from one protocol to another, of either kind.
TEST_P(EveryPipe, ChangesItsProtocol) {
  auto [reader, writer] = connected_pipe();
  Recorder& next = new_reader("next reader");
  hand_over(reader, next, buffered() ? ProtocolKind::stream : ProtocolKind::buffered);
  Recorder& next_writer = new_writer("next writer");
  hand_over(writer, next_writer);
  next_writer.transport.write("hello");
  next_writer.transport.close();
  run_until([&] { return next.lost() && next_writer.lost(); });
  EXPECT_EQ(next.calls, calls("data_received:hello", "eof_received", "connection_lost"));
  EXPECT_EQ(next_writer.calls, calls("connection_lost"));
  EXPECT_EQ(reader.calls, calls("connection_made"));
}

// I9: a read pipe needs a protocol that reads.
TEST_P(EveryPipe, RefusesAWriteOnlyProtocolForReading) {
  auto [reader, writer] = connected_pipe();
  const AnyProtocol silent = AnyProtocol::write_only(std::make_shared<BaseProtocol>());
  EXPECT_THROW(reader.transport.set_protocol(silent), std::invalid_argument);
  writer.handed_over = true;
  writer.transport.set_protocol(silent);
  writer.transport.write("hello");
  run_until([&reader = reader] { return reader.received == "hello"; });

  const PipeEnds ends = make_ends();
  auto refused = connect_read_pipe(
      loop(), [&] { return silent; }, ends.read_end);
  run_until([&] { return refused.done(); });
  EXPECT_EQ(what(refused.exception()),
            "a transport that reads needs a Protocol or a BufferedProtocol");
  Recorder& other = new_writer("other writer");
  connect_writer(other, ends.write_end);
}

// I13: each end has the calls of its direction only; to ask for others is a mistake.
TEST_P(EveryPipe, HasOneDirection) {
  auto [reader, writer] = connected_pipe();
  const Transport in = reader.transport;
  const Transport out = writer.transport;
  EXPECT_FALSE(in.can_write_eof());
  EXPECT_TRUE(out.can_write_eof());
  const auto unsupported = [](const std::function<void()>& call) {
    EXPECT_THROW(call(), UnsupportedOperationError);
  };
  unsupported([&] { in.write("x"); });
  unsupported([&] { in.writelines({as_bytes("x")}); });
  unsupported([&] { in.write_eof(); });
  unsupported([&] { in.abort(); });
  unsupported([&] { in.set_write_buffer_limits(); });
  unsupported([&] { static_cast<void>(in.get_write_buffer_limits()); });
  unsupported([&] { static_cast<void>(in.get_write_buffer_size()); });
  unsupported([&] { out.pause_reading(); });
  unsupported([&] { out.resume_reading(); });
  unsupported([&] { static_cast<void>(out.is_reading()); });
  unsupported([&] { out.write_with_descriptors(as_bytes("x"), {}); });
  unsupported([&] { in.receive_descriptors(true); });
  EXPECT_FALSE(in.is_closing());
  EXPECT_FALSE(out.is_closing());
}

// X3, C13: of a pipe only that is known, until it is lost.
TEST_P(EveryPipe, ShowsItsPipe) {
  auto [reader, writer] = connected_pipe();
  for (Recorder* end : {&reader, &writer}) {
    const auto pipe = end->transport.get_extra_info<PipeView>("pipe");
    ASSERT_TRUE(pipe);
    for (const char* name : {"peername", "sockname", "socket", "peercred"}) {
      EXPECT_EQ(end->transport.get_extra_info(name), ExtraInfo()) << name;
    }
    end->transport.close();
    EXPECT_EQ(end->transport.get_extra_info<PipeView>("pipe"), pipe);
  }
  run_until([&reader = reader, &writer = writer] { return reader.lost() && writer.lost(); });
  EXPECT_EQ(reader.transport.get_extra_info("pipe"), ExtraInfo());
}

// B17: an end that is over takes every call of its direction.
TEST_P(EveryPipe, TakesEveryCallWhenItIsOver) {
  auto [reader, writer] = connected_pipe();
  reader.transport.close();
  writer.transport.close();
  run_until([&reader = reader, &writer = writer] { return reader.lost() && writer.lost(); });
  for (const Transport& over : {reader.transport, writer.transport}) {
    over.close();
    over.pause_reading();
    over.resume_reading();
    over.write("");
    over.write_eof();
    over.abort();
    EXPECT_TRUE(over.is_closing());
    EXPECT_FALSE(over.is_reading());
    EXPECT_EQ(over.get_write_buffer_size(), 0U);
    EXPECT_EQ(over.get_protocol(), nullptr);
  }
}

// B11: what the factory throws goes to whoever waits, and the pipe is closed.
TEST_P(EveryPipe, FailsWithWhatTheFactoryThrows) {
  const auto failing = []() -> std::shared_ptr<Protocol> { throw TestError(); };
  const PipeEnds ends = make_ends();
  auto reading = connect_read_pipe(loop(), failing, ends.read_end);
  auto writing = connect_write_pipe(loop(), failing, ends.write_end);
  run_until([&] { return reading.done() && writing.done(); });
  EXPECT_EQ(outcome(reading), "test error");
  EXPECT_EQ(outcome(writing), "test error");
}

// N9, B4: cancelled before there was a transport, neither callback comes; afterwards both do.
TEST_P(EveryPipe, MayBeCancelledWhileItOpens) {
  for (int iterations = 0; iterations < 3; ++iterations) {
    Recorder& reader = new_reader();
    Recorder& writer = new_writer();
    const PipeEnds ends = make_ends();
    with_protocols(maker().protocol, [&](auto protocol_of) {
      auto reading = connect_read_pipe(loop(), protocol_of(reader), ends.read_end);
      auto writing = connect_write_pipe(loop(), protocol_of(writer), ends.write_end);
      iterate(iterations);
      if (!reading.cancel()) return;
      writing.cancel();
      run_until([&] { return RecordingProtocol::alive == 0; });
      EXPECT_EQ(outcome(reading), "cancelled");
      EXPECT_EQ(reader.made(), reader.lost());
      EXPECT_EQ(writer.made(), writer.lost());
    });
  }
}

// L7: a closed loop opens no pipes.
TEST_P(EveryPipe, IsNotOpenedByAClosedLoop) {
  const PipeEnds ends = make_ends();
  Recorder& reader = new_reader();
  connect_reader(reader, ends.read_end);
  Recorder& writer = new_writer();
  connect_writer(writer, ends.write_end);
  loop().close();
  EXPECT_EQ(outcome(connect_read_pipe<Protocol>(loop(), 0)), "WrongStateError");
  EXPECT_EQ(outcome(connect_write_pipe<BaseProtocol>(loop(), 0)), "WrongStateError");
}

}  // namespace weir::test
