// Chapter I where pipes are the system's: which descriptors are taken, who owns them, how they end.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <weir/weir.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "descriptor_support.h"
#include "every_pipe.h"
#include "loop_support.h"
#include "temporary_directory.h"

namespace weir::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryDescriptorPipe,
                         ::testing::ValuesIn(descriptor_pipe_makers()), pipe_name);

/// A test with descriptors of its own at the other end.
class DescriptorPipes : public RecordedTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_loop(loop_options(GetParam())); }

  Recorder& new_end(std::string name) {
    return new_recorder(ProtocolKind::stream, std::move(name));
  }
  auto reading(Recorder& reader, int pipe) {
    return connect_read_pipe(
        loop(), [&reader] { return std::make_shared<RecordingProtocol>(reader); }, pipe);
  }
  auto writing(Recorder& writer, int pipe) {
    return connect_write_pipe(
        loop(), [&writer] { return std::make_shared<RecordingProtocol>(writer); }, pipe);
  }

  /// Both openers refuse `descriptor`, which stays open, saying `text`.
  void expect_both_refuse(int descriptor, std::string_view text) {
    const std::string whole = "descriptor " + std::to_string(descriptor) + std::string(text);
    EXPECT_EQ(refusal(reading(new_end("reader"), descriptor)), whole);
    EXPECT_EQ(refusal(writing(new_end("writer"), descriptor)), whole);
  }
  template <class T>
  std::string refusal(const Future<T>& future) {
    run_until([&] { return future.done(); });
    return kind_of(future.exception()) == "invalid_argument" ? what(future.exception())
                                                             : kind_of(future.exception());
  }
};

INSTANTIATE_TEST_SUITE_P(Behaviour, DescriptorPipes,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

struct PipeOfTest {
  PipeOfTest() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
  Descriptor read_end;
  Descriptor write_end;
};

/// A terminal: what is written at one end is read at the other, as it is.
struct Terminal {
  Terminal() {
    int master = -1;
    int slave = -1;
    if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) {
      throw std::runtime_error("no terminal");
    }
    controller.reset(master);
    line.reset(slave);
    termios raw{};
    ::tcgetattr(slave, &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(slave, TCSANOW, &raw);
  }
  Descriptor controller;
  Descriptor line;
};

void write_text(int descriptor, std::string_view text) {
  ASSERT_EQ(::write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

std::string read_text(int descriptor) {
  std::string text(65536, '\0');
  const ssize_t size = ::read(descriptor, text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

const std::string wrong_kind =
    " is a regular file, a directory or the like; a pipe, a socket or a character device is wanted";

}  // namespace

// I2: the descriptor becomes non-blocking, and the transport's: it is closed after connection_lost().
TEST_P(EveryDescriptorPipe, OwnsItsDescriptor) {
  const PipeEnds ends = make_ends();
  Recorder& reader = new_reader();
  Recorder& writer = new_writer();
  bool open_at_the_end = false;
  reader.on("connection_lost", [&] { open_at_the_end = is_open(ends.read_end); });
  connect_reader(reader, ends.read_end);
  connect_writer(writer, ends.write_end);
  for (const int end : {ends.read_end, ends.write_end}) {
    EXPECT_NE(::fcntl(end, F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_EQ(reader.transport.get_extra_info<PipeView>("pipe"), PipeView{ends.read_end});
  EXPECT_EQ(writer.transport.get_extra_info<PipeView>("pipe"), PipeView{ends.write_end});
  writer.transport.close();
  run_until([&] { return reader.lost() && writer.lost(); });
  EXPECT_TRUE(open_at_the_end);
  EXPECT_FALSE(is_open(ends.read_end));
  EXPECT_FALSE(is_open(ends.write_end));
}

// L30: a descriptor has one transport at a time, and no reader of its own beside it.
TEST_P(EveryDescriptorPipe, HasOneTransportAtATime) {
  const PipeEnds ends = make_ends();
  Recorder& reader = new_reader();
  Recorder& writer = new_writer();
  connect_reader(reader, ends.read_end);
  connect_writer(writer, ends.write_end);
  for (const int end : {ends.read_end, ends.write_end}) {
    auto again = connect_read_pipe<Protocol>(loop(), end);
    auto once_more = connect_write_pipe<Protocol>(loop(), end);
    run_until([&] { return again.done() && once_more.done(); });
    EXPECT_EQ(outcome(again), "WrongStateError");
    EXPECT_EQ(outcome(once_more), "WrongStateError");
    EXPECT_THROW(loop().add_reader(end, [] {}), WrongStateError);
  }
  writer.transport.write("still there");
  run_until([&] { return reader.received == "still there"; });
}

// I1: a regular file, a directory, or anything else is refused, and stays the caller's.
TEST_P(DescriptorPipes, RefuseOtherKindsOfFiles) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("data")) << "contents";
  const Descriptor file(::open(directory.file("data").c_str(), O_RDWR | O_CLOEXEC));
  expect_both_refuse(file.get(), wrong_kind);
  EXPECT_TRUE(is_open(file.get()));
  EXPECT_EQ(read_text(file.get()), "contents");
  const Descriptor folder(::open(directory.path().c_str(), O_RDONLY | O_CLOEXEC));
  expect_both_refuse(folder.get(), wrong_kind);
  EXPECT_TRUE(is_open(folder.get()));
  const Descriptor counter(::eventfd(0, EFD_CLOEXEC));
  expect_both_refuse(counter.get(), wrong_kind);
  EXPECT_TRUE(is_open(counter.get()));
}

// I1: so is a descriptor that is closed, or none at all.
TEST_P(DescriptorPipes, RefuseAClosedDescriptor) {
  PipeOfTest pipe;
  const int closed = pipe.read_end.get();
  pipe.read_end.reset();
  expect_both_refuse(closed, " is not open");
  expect_both_refuse(-1, " is not open");
}

// I1: so is the wrong end of a pipe.
TEST_P(DescriptorPipes, RefuseTheOtherDirection) {
  const PipeOfTest pipe;
  EXPECT_EQ(refusal(reading(new_end("reader"), pipe.write_end.get())),
            "descriptor " + std::to_string(pipe.write_end.get()) +
                " is open for writing only; a read pipe needs one open for reading");
  EXPECT_EQ(refusal(writing(new_end("writer"), pipe.read_end.get())),
            "descriptor " + std::to_string(pipe.read_end.get()) +
                " is open for reading only; a write pipe needs one open for writing");
  EXPECT_TRUE(is_open(pipe.read_end.get()));
  EXPECT_TRUE(is_open(pipe.write_end.get()));
}

// I4: a writer that vanishes in the middle of a line leaves the part that it wrote, and then the end.
TEST_P(DescriptorPipes, DeliverTheUnfinishedLineOfAWriterThatVanishes) {
  PipeOfTest pipe;
  Recorder& reader = new_end("reader");
  run_until_done(reading(reader, pipe.read_end.release()));
  write_text(pipe.write_end.get(), "a line\nhalf a li");
  pipe.write_end.reset();
  run_until([&] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "data_received:a line\nhalf a li",
                                "eof_received", "connection_lost"));
}

// I5: while one of several writers is left the input has not ended.
TEST_P(DescriptorPipes, EndWithTheLastWriter) {
  PipeOfTest pipe;
  Recorder& reader = new_end("reader");
  run_until_done(reading(reader, pipe.read_end.release()));
  Descriptor second(::fcntl(pipe.write_end.get(), F_DUPFD_CLOEXEC, 0));
  pipe.write_end.reset();
  write_text(second.get(), "not yet");
  run_until([&] { return reader.received == "not yet"; });
  iterate(3);
  EXPECT_EQ(reader.count("eof_received"), 0U);
  second.reset();
  run_until([&] { return reader.lost(); });
}

// I14, O5: SIGPIPE at its default disposition kills nobody.
TEST_P(DescriptorPipes, NeverRaiseSigpipe) {
  struct sigaction before {};
  struct sigaction deadly {};
  deadly.sa_handler = SIG_DFL;
  ASSERT_EQ(::sigaction(SIGPIPE, &deadly, &before), 0);
  for (const bool sockets : {false, true}) {
    PipeOfTest pipe;
    SocketPair pair;
    Descriptor read_end(sockets ? pair.release_a() : pipe.read_end.release());
    const int write_end = sockets ? pair.release_b() : pipe.write_end.release();
    Recorder& writer = new_end("writer");
    run_until_done(writing(writer, write_end));
    read_end.reset();
    writer.transport.write("anybody there?");
    run_until([&] { return writer.lost(); });
    EXPECT_EQ(writer.calls, calls("connection_made", "connection_lost:disconnected"));
    EXPECT_EQ(writer.reason.code(), std::errc::broken_pipe);
  }
  ASSERT_EQ(::sigaction(SIGPIPE, &before, nullptr), 0);
  EXPECT_EQ(take_reports(), Calls());
}

// I10: what comes back over a socket is not taken for the loss of its reader.
TEST_P(DescriptorPipes, AreNotLostWhenASocketTalksBack) {
  SocketPair pair;
  Recorder& writer = new_end("writer");
  run_until_done(writing(writer, pair.release_a()));
  send(pair.b(), "what did you say?");
  iterate(5);
  EXPECT_FALSE(writer.transport.is_closing());
  writer.transport.write("never mind");
  run_until([&] { return receive(pair.b()) == "never mind"; });
  pair.close_b();
  run_until([&] { return writer.lost(); });
  EXPECT_EQ(writer.count("eof_received"), 0U);
  EXPECT_EQ(writer.count("data_received"), 0U);
}

// I10: a socket whose other end will say no more counts as lost, as in asyncio; also during the flush.
TEST_P(DescriptorPipes, AreLostWhenASocketEndsItsSide) {
  for (const bool flushing : {false, true}) {
    SocketPair pair;
    Recorder& writer = new_end("writer");
    run_until_done(writing(writer, pair.release_a()));
    if (flushing) writer.transport.write(pattern(4 * MiB));
    if (flushing) writer.transport.close();
    ASSERT_EQ(::shutdown(pair.b(), SHUT_WR), 0);
    run_until([&] { return writer.lost(); });
    EXPECT_EQ(writer.calls,
              flushing ? calls("connection_made", "pause_writing", "connection_lost:disconnected")
                       : calls("connection_made", "connection_lost"));
  }
}

// I10: a device such as /dev/null is written to and never lost.
TEST_P(DescriptorPipes, WriteToADevice) {
  Recorder& writer = new_end("writer");
  run_until_done(writing(writer, ::open("/dev/null", O_WRONLY | O_CLOEXEC)));
  writer.transport.write(pattern(1 * MiB));
  iterate(5);
  EXPECT_FALSE(writer.transport.is_closing());
  EXPECT_EQ(writer.transport.get_write_buffer_size(), 0U);
  writer.transport.close();
  run_until([&] { return writer.lost(); });
  EXPECT_EQ(writer.calls, calls("connection_made", "connection_lost"));
}

// I1, I5: a device is read until it ends.
TEST_P(DescriptorPipes, ReadFromADevice) {
  Recorder& reader = new_end("reader");
  run_until_done(reading(reader, ::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  run_until([&] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// I11: on a terminal used for both directions, input is not taken for the loss of the output.
TEST_P(DescriptorPipes, UseATerminalForBothDirections) {
  Terminal terminal;
  const int both = terminal.line.release();
  const int duplicate = ::fcntl(both, F_DUPFD_CLOEXEC, 0);
  Recorder& reader = new_end("reader");
  Recorder& writer = new_end("writer");
  run_until_done(writing(writer, duplicate));
  write_text(terminal.controller.get(), "typed");
  iterate(5);
  EXPECT_FALSE(writer.transport.is_closing());
  run_until_done(reading(reader, both));
  run_until([&] { return reader.received == "typed"; });
  writer.transport.write("shown");
  EXPECT_EQ(read_text(terminal.controller.get()), "shown");
  write_text(terminal.controller.get(), " more");
  run_until([&] { return reader.received == "typed more"; });
  EXPECT_FALSE(writer.transport.is_closing());
}

// I7: the hang-up of a terminal is the end of its output, told without a report.
TEST_P(DescriptorPipes, EndSilentlyWhenATerminalHangsUp) {
  Terminal terminal;
  Recorder& reader = new_end("reader");
  run_until_done(reading(reader, terminal.controller.release()));
  write_text(terminal.line.get(), "goodbye");
  terminal.line.reset();
  run_until([&] { return reader.lost(); });
  EXPECT_EQ(reader.received, "goodbye");
  EXPECT_EQ(reader.count("eof_received"), 0U);
  EXPECT_EQ(reader.reason.code(), std::errc::io_error);
  EXPECT_EQ(take_reports(), Calls());
}

// I7: any other read error is reported, and is the reason.
TEST_P(DescriptorPipes, ReportAReadError) {
  Recorder& reader = new_end("reader");
  SocketPair pair;
  send(pair.a(), "never read");
  run_until_done(reading(reader, pair.release_a()));
  pair.close_b();  // with unread input: a reset
  run_until([&] { return reader.lost(); });
  EXPECT_EQ(reader.calls, calls("connection_made", "connection_lost:disconnected"));
  const std::vector<Report> reports = take_whole_reports();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].message, "Fatal read error on pipe transport");
  EXPECT_EQ(reports[0].exception, "read: Connection reset by peer");
  EXPECT_TRUE(reports[0].has_transport);
  EXPECT_TRUE(reports[0].has_protocol);
}

}  // namespace weir::test
