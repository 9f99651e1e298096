#include <csignal>
#include <string>
#include <system_error>
#include <vector>

#include "kernel_fixture.h"
#include "pipe_calls.h"

namespace weir::test_backend {
namespace {

using detail::NoSignal;

volatile std::sig_atomic_t pipe_signals = 0;

/// Counts the SIGPIPEs that arrive.
class PipeSignals {
 public:
  PipeSignals() : before_(std::signal(SIGPIPE, [](int) { pipe_signals = pipe_signals + 1; })) {
    pipe_signals = 0;
  }
  PipeSignals(const PipeSignals&) = delete;
  PipeSignals& operator=(const PipeSignals&) = delete;
  ~PipeSignals() { std::signal(SIGPIPE, before_); }

  int count() const { return pipe_signals; }

 private:
  void (*before_)(int);
};

bool pipe_signal_blocked() {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  return sigismember(&blocked, SIGPIPE) == 1;
}

bool pipe_signal_pending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

struct iovec piece_of(std::string& text) { return {text.data(), text.size()}; }

/// A terminal: `a` is its master, `b` what a program has.
Pair make_terminal() {
  Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
    throw std::runtime_error("no terminal");
  }
  Fd terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) throw std::runtime_error("no terminal");
  return {std::move(master), std::move(terminal)};
}

class KernelPipes : public KernelBackendTest {
 protected:
  std::error_code adopt_error(int descriptor, PipeEnd end) {
    return backend->adopt_pipe(descriptor, end).error();
  }
};

INSTANTIATE_TEST_SUITE_P(Kernel, KernelPipes, testing::ValuesIn(kernel_backends()),
                         kernel_backend_name);

// --- Writing without a signal ---------------------------------------------------------------------

class WritingWithoutSignal : public testing::TestWithParam<NoSignal> {};

TEST_P(WritingWithoutSignal, GivesAnErrorOnly) {
  const PipeSignals signals;
  Pair pipe = make_pipe();
  pipe.a.reset();
  std::string text = "text";
  const iovec piece = piece_of(text);
  NoSignal how = GetParam();
  EXPECT_EQ(detail::write_without_signal(pipe.b.get(), {&piece, 1}, how), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(signals.count(), 0);
  EXPECT_FALSE(pipe_signal_pending());
  EXPECT_FALSE(pipe_signal_blocked());
}

TEST_P(WritingWithoutSignal, LeavesASignalThatWasPendingBefore) {
  const PipeSignals signals;
  sigset_t pipe_signal;
  sigset_t before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  raise(SIGPIPE);
  Pair pipe = make_pipe();
  pipe.a.reset();
  std::string text = "text";
  const iovec piece = piece_of(text);
  NoSignal how = GetParam();
  EXPECT_EQ(detail::write_without_signal(pipe.b.get(), {&piece, 1}, how), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_TRUE(pipe_signal_pending());
  EXPECT_TRUE(pipe_signal_blocked());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(signals.count(), 1);
}

TEST_P(WritingWithoutSignal, Writes) {
  const Pair pipe = make_pipe();
  std::string one = "one ";
  std::string two = "two";
  const std::array<iovec, 2> pieces{piece_of(one), piece_of(two)};
  NoSignal how = GetParam();
  EXPECT_EQ(detail::write_without_signal(pipe.b.get(), pieces, how), 7);
  EXPECT_EQ(read_some(pipe.a.get()), "one two");
}

INSTANTIATE_TEST_SUITE_P(Unit, WritingWithoutSignal,
                         testing::Values(NoSignal::by_flag, NoSignal::by_mask),
                         [](const auto& value) {
                           return value.param == NoSignal::by_flag ? "by_flag" : "by_mask";
                         });

TEST(WriteWithoutSignal, GivesUpTheFlagWhereItIsRefused) {
  const Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  std::string text = "text";
  const iovec piece = piece_of(text);
  NoSignal how = NoSignal::by_flag;
  EXPECT_EQ(detail::write_without_signal(full.get(), {&piece, 1}, how), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(how, NoSignal::by_mask);
}

// --- Adopting ---------------------------------------------------------------------------------------

// I1: what is no pipe, socket or character device stays with the caller.
TEST_P(KernelPipes, RefusesOtherFiles) {
  const TemporaryDirectory directory;
  const Fd file(::open(directory.file("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const Fd folder(::open(directory.file(".").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const PipeEnd end : {PipeEnd::read, PipeEnd::write}) {
    EXPECT_EQ(adopt_error(file.get(), end), std::errc::invalid_argument);
    EXPECT_EQ(adopt_error(folder.get(), end), std::errc::invalid_argument);
    EXPECT_EQ(adopt_error(-1, end), std::errc::bad_file_descriptor);
  }
  EXPECT_EQ(::fcntl(file.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_P(KernelPipes, RefusesTheOtherDirectionAndATakenOne) {
  Pair pipe = make_pipe();
  EXPECT_EQ(adopt_error(pipe.a.get(), PipeEnd::write), std::errc::operation_not_permitted);
  EXPECT_EQ(adopt_error(pipe.b.get(), PipeEnd::read), std::errc::operation_not_permitted);
  const int number = pipe.a.get();
  const User reader = pipe_end("reader", std::move(pipe.a), PipeEnd::read);
  EXPECT_EQ(adopt_error(number, PipeEnd::read), std::errc::device_or_resource_busy);
  EXPECT_TRUE(backend->owns(number));
}

// I2: the descriptor becomes non-blocking, and is closed with the channel.
TEST_P(KernelPipes, OwnsWhatItTakes) {
  Pair pipe = make_pipe();
  const int number = pipe.a.get();
  User reader = pipe_end("reader", std::move(pipe.a), PipeEnd::read);
  EXPECT_NE(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
  reader.channel->close();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  EXPECT_FALSE(backend->owns(number));
  settle();
  EXPECT_EQ(events(), Trace{"reader: closed"});
}

// --- Reading ----------------------------------------------------------------------------------------

TEST_P(KernelPipes, ReadsUntilTheEnd) {
  for (const bool socket : {false, true}) {
    Pair pipe = socket ? make_socket_pair() : make_pipe();
    User reader = pipe_end("reader", std::move(pipe.a), PipeEnd::read);
    reader.channel->start_receiving();
    settle();
    EXPECT_EQ(events(), Trace{});
    write_all(pipe.b.get(), "one");
    settle();
    write_all(pipe.b.get(), "two");
    settle();
    pipe.b.reset();
    settle();
    EXPECT_EQ(events(), (Trace{"reader: received one", "reader: received two", "reader: eof"}));
    reader.channel->close();
    settle();
    events();
  }
}

TEST_P(KernelPipes, ReadsWhatIsThereBeforeTheEnd) {
  Pair pipe = make_pipe();
  User reader = pipe_end("reader", std::move(pipe.a), PipeEnd::read);
  write_all(pipe.b.get(), "last");
  pipe.b.reset();
  reader.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), (Trace{"reader: received last", "reader: eof"}));
}

// A FIFO has no end before its first writer.
TEST_P(KernelPipes, AFifoWaitsForItsFirstWriter) {
  const TemporaryDirectory directory;
  const std::string name = directory.file("fifo");
  ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
  User reader = pipe_end("reader", Fd(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)),
                         PipeEnd::read);
  reader.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace{});
  Fd writer(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
  write_all(writer.get(), "text");
  writer.reset();
  settle();
  EXPECT_EQ(events(), (Trace{"reader: received text", "reader: eof"}));
}

// Rule 2, and no spinning on a hang-up that nobody asks for.
TEST_P(KernelPipes, APausedReaderHearsNothing) {
  Pair pipe = make_pipe();
  User reader = pipe_end("reader", std::move(pipe.a), PipeEnd::read);
  reader.channel->start_receiving();
  settle();
  reader.channel->stop_receiving();
  write_all(pipe.b.get(), "text");
  pipe.b.reset();
  settle();
  EXPECT_EQ(events(), Trace{});
  reader.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), (Trace{"reader: received text", "reader: eof"}));
}

// I7: the hang-up of a terminal is a read error.
TEST_P(KernelPipes, TellsThatATerminalIsGone) {
  Pair terminal = make_terminal();
  User master = pipe_end("master", std::move(terminal.a), PipeEnd::read);
  master.channel->start_receiving();
  write_all(terminal.b.get(), "out");
  terminal.b.reset();
  run_until([&] { return trace.size() == 2; });
  const std::string gone = std::system_category().message(EIO);
  EXPECT_EQ(events(), (Trace{"master: received out", "master: failed " + gone}));
}

// A read of a terminal ends at a line.
TEST_P(KernelPipes, ReadsAllLinesOfATerminal) {
  Pair terminal = make_terminal();
  User reader = pipe_end("reader", std::move(terminal.b), PipeEnd::read);
  write_all(terminal.a.get(), "one\ntwo\nthree\n");
  reader.channel->start_receiving();
  run_until([&] { return reader.received == "one\ntwo\nthree\n"; });
  write_all(terminal.a.get(), "\x04");
  run_until([&] { return trace.back() == "reader: eof"; });
}

// --- Writing ----------------------------------------------------------------------------------------

TEST_P(KernelPipes, SendsTheRestWhenThereIsRoom) {
  for (const auto& make : {+[] { return make_pipe(); }, +[] { return make_socket_pair(); },
                           +[] { return make_terminal(); }}) {
    Pair pipe = make();
    User reader = pipe_end("reader", std::move(pipe.a), PipeEnd::read);
    User writer = pipe_end("writer", std::move(pipe.b), PipeEnd::write);
    std::string text(1 << 20, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * i % 23);
    writer.channel->start_receiving();
    writer.send(text);
    settle();
    EXPECT_FALSE(writer.queue.empty());
    reader.channel->start_receiving();
    run_until([&] { return reader.received.size() == text.size(); });
    EXPECT_EQ(reader.received, text);
    EXPECT_EQ(writer.queue, "");
    EXPECT_EQ(writer.receive_events, 0);
  }
}

// I10: that nobody reads any more is told without writing, once.
TEST_P(KernelPipes, TellsThatTheReaderIsGone) {
  for (const bool socket : {false, true}) {
    Pair pipe = socket ? make_socket_pair() : make_pipe();
    User writer = pipe_end("writer", std::move(pipe.b), PipeEnd::write);
    writer.channel->start_receiving();
    writer.send("never read");
    settle();
    EXPECT_EQ(events(), Trace{});
    pipe.a.reset();
    settle();
    EXPECT_EQ(events(), Trace{"writer: eof"});
    writer.channel->close();
    settle();
    events();
  }
}

TEST_P(KernelPipes, TellsThatTheReaderIsGoneBeforeAskedTo) {
  Pair pipe = make_pipe();
  User writer = pipe_end("writer", std::move(pipe.b), PipeEnd::write);
  pipe.a.reset();
  settle();
  writer.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace{"writer: eof"});
}

TEST_P(KernelPipes, APausedWriterDoesNotSpinWhenItsReaderIsGone) {
  Pair pipe = make_pipe();
  User writer = pipe_end("writer", std::move(pipe.b), PipeEnd::write);
  writer.channel->start_receiving();
  settle();
  writer.channel->stop_receiving();
  pipe.a.reset();
  settle();
  EXPECT_EQ(events(), Trace{});
  writer.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace{"writer: eof"});
}

TEST_P(KernelPipes, AWriteThatNobodyReadsIsAnErrorWithoutSignal) {
  const PipeSignals signals;
  for (const bool socket : {false, true}) {
    Pair pipe = socket ? make_socket_pair() : make_pipe();
    User writer = pipe_end("writer", std::move(pipe.b), PipeEnd::write);
    pipe.a.reset();
    writer.send("text");
    EXPECT_EQ(events(), Trace{"writer: send: broken pipe"});
    EXPECT_EQ(signals.count(), 0);
  }
}

TEST_P(KernelPipes, WhatComesInOnASocketIsNoLossOfItsReader) {
  Pair pair = make_socket_pair();
  User writer = pipe_end("writer", std::move(pair.b), PipeEnd::write);
  writer.channel->start_receiving();
  write_all(pair.a.get(), "hello");
  settle();
  writer.send("answer");
  EXPECT_EQ(read_some(pair.a.get()), "answer");
  EXPECT_EQ(events(), Trace{});
  ASSERT_EQ(::shutdown(pair.a.get(), SHUT_RDWR), 0);
  settle();
  EXPECT_EQ(events(), Trace{"writer: eof"});
}

// I11: neither input nor a hang-up of a terminal is a loss of the reader; writing tells.
TEST_P(KernelPipes, ATerminalNeverLosesItsReader) {
  Pair terminal = make_terminal();
  User writer = pipe_end("writer", std::move(terminal.b), PipeEnd::write);
  writer.channel->start_receiving();
  write_all(terminal.a.get(), "input\n");
  settle();
  terminal.a.reset();
  settle();
  EXPECT_EQ(events(), Trace{});
  writer.send("text");
  EXPECT_EQ(events(), Trace{"writer: send: " + std::system_category().message(EIO)});
}

// --- Devices without poll ---------------------------------------------------------------------------

TEST_P(KernelPipes, WritesToTheNullDevice) {
  User writer = pipe_end("writer", Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC)), PipeEnd::write);
  writer.channel->start_receiving();
  settle();
  writer.send(std::string(1 << 20, 'x'));
  EXPECT_EQ(writer.queue, "");
  writer.queue = "later";
  writer.channel->start_sending();
  settle();
  EXPECT_EQ(events(), Trace{"writer: sent 5"});
}

TEST_P(KernelPipes, ReadsTheEndOfTheNullDevice) {
  User reader = pipe_end("reader", Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), PipeEnd::read);
  reader.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace{"reader: eof"});
}

TEST_P(KernelPipes, ReadsADeviceThatNeverEndsOneReceiveATurn) {
  User reader = pipe_end("reader", Fd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)), PipeEnd::read);
  reader.channel->start_receiving();
  for (int turns = 1; turns <= 3; ++turns) {
    turn();
    EXPECT_EQ(reader.receive_events, turns);
  }
  reader.channel->stop_receiving();
  settle();
  EXPECT_EQ(reader.receive_events, 3);
}

TEST_P(KernelPipes, TellsAnErrorOfADevice) {
  User writer = pipe_end("writer", Fd(::open("/dev/full", O_WRONLY | O_CLOEXEC)), PipeEnd::write);
  writer.queue = "text";
  writer.channel->start_sending();
  settle();
  EXPECT_EQ(events(), Trace{"writer: failed " + std::system_category().message(ENOSPC)});
}

}  // namespace
}  // namespace weir::test_backend
