// Chapter 7: processes, from their start to their end.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <weir/weir.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "subprocess_support.h"

namespace weir::test {
namespace {

class Subprocesses : public SubprocessTest {};

// P1: a program gets its arguments as they are.
TEST_P(Subprocesses, ExecPassesItsArgumentsUninterpreted) {
  const auto& process = run({"echo", "-n", "$HOME *", "a  b"});
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:$HOME * a  b", "1:lost",
                                   "2:lost", "exited:0", "connection_lost"));
}

// P1: a command is the shell's.
TEST_P(Subprocesses, ShellInterpretsItsCommand) {
  const auto& process = run_shell("X=1; echo $((X + 1)); echo oops >&2; exit 3");
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:2\n", "1:lost", "2:oops\n",
                                   "2:lost", "exited:3", "connection_lost"));
}

// P3: the factory is called once, before the process is started; its result is the future's.
TEST_P(Subprocesses, TheFactoryIsCalledOnce) {
  SubprocessRecorder& process = new_recorder();
  int made = 0;
  auto future = subprocess_exec(loop(),
                                [&] {
                                  ++made;
                                  EXPECT_FALSE(has_children());
                                  return process.protocol();
                                },
                                {"cat"});
  EXPECT_EQ(made, 0);
  const auto [transport, protocol] = run_until_done(future);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(process.calls, calls("connection_made"));
  EXPECT_EQ(transport, process.transport);
  EXPECT_EQ(transport.get_protocol(), protocol);
  transport.close();
  finish(process);
}

// Table 1: what the factory throws fails the call, and nothing is started.
TEST_P(Subprocesses, AFactoryThatThrows) {
  auto future = subprocess_exec(
      loop(), []() -> std::shared_ptr<SubprocessProtocol> { throw TestError(); }, {"cat"});
  run_until([&] { return future.done(); });
  EXPECT_EQ(outcome(future), "test error");
  auto none =
      subprocess_exec(loop(), [] { return std::shared_ptr<SubprocessProtocol>(); }, {"cat"});
  run_until([&] { return none.done(); });
  EXPECT_EQ(outcome(none), "invalid_argument");
  EXPECT_FALSE(has_children());
}

// P3: a process that cannot start fails the call with the system's error, no callback is called, and
// nothing is left of it.
TEST_P(Subprocesses, FailureToStart) {
  const std::size_t before = open_descriptors();
  EXPECT_EQ(failure_text({"no-such-program"}), "exec no-such-program: No such file or directory");
  EXPECT_EQ(failure_text({"/etc/passwd"}), "exec /etc/passwd: Permission denied");
  EXPECT_EQ(failure_text({"cat"}, {.cwd = "/nope"}), "chdir to /nope: No such file or directory");
  EXPECT_EQ(failure({"no-such-program"}), "No such file or directory");
  EXPECT_FALSE(has_children());
  EXPECT_EQ(open_descriptors(), before);
}

// P4: what happens before the pipes are connected is told after connection_made().
TEST_P(Subprocesses, ConnectionMadeIsFirst) {
  SubprocessRecorder& process = new_recorder();
  const auto future = subprocess_shell(loop(), process.factory(), "echo out; echo err >&2");
  loop().run_once();  // starts it
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0) << "it has not been started";
  EXPECT_EQ(process.calls, Calls());
  finish(process);
  EXPECT_EQ(process.calls.front(), "connection_made");
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:out\n", "1:lost", "2:err\n",
                                   "2:lost", "exited:0", "connection_lost"));
}

// P5: data comes in order, and never none.
TEST_P(Subprocesses, DataComesInOrder) {
  const auto& process = run_shell("seq 1 20000; seq 1 100 >&2");
  std::string numbers;
  for (int i = 1; i <= 20000; ++i) numbers += std::to_string(i) + '\n';
  EXPECT_EQ(process.received[1], numbers);
  EXPECT_EQ(process.received[2], numbers.substr(0, numbers.find("101\n")));
  EXPECT_FALSE(process.has("empty data"));
}

// P6: each pipe ends once, after its last data, without an error.
TEST_P(Subprocesses, EachPipeEndsOnce) {
  const auto& process = run_shell("echo out");
  for (const int fd : {0, 1, 2}) {
    EXPECT_EQ(std::ranges::count(process.calls, std::to_string(fd) + ":lost"), 1);
    EXPECT_FALSE(process.reasons[static_cast<std::size_t>(fd)]);
  }
}

// P6, I10: stdin is lost with broken pipe when the child goes away with bytes pending.
TEST_P(Subprocesses, StdinIsBrokenWhenTheChildGoesWithBytesPending) {
  auto& process = start_shell("read line; exit 0");
  pipe(process, 0).write(std::string(MiB, 'x') + '\n');
  process.transport.kill();
  finish(process);
  EXPECT_EQ(process.reasons[0].code(), std::errc::broken_pipe);
  EXPECT_EQ(process.returncode, -9);
}

// P7: process_exited() comes once, and get_returncode() is set inside it.
TEST_P(Subprocesses, TheReturncodeIsKnownInProcessExited) {
  auto& process = start({"cat"});
  EXPECT_EQ(process.transport.get_returncode(), std::nullopt);
  pipe(process, 0).close();
  finish(process);
  EXPECT_EQ(process.returncode, 0);
  EXPECT_EQ(std::ranges::count(process.calls, "exited:0"), 1);
}

// P8: what was written before the exit is received after it.
TEST_P(Subprocesses, NothingIsLostBecauseTheProcessExited) {
  auto& process = start_shell("read go; seq 1 5000; exit 4");
  Transport output = pipe(process, 1);
  output.pause_reading();
  pipe(process, 0).write("go\n");
  run_until([&] { return process.exited(); });
  EXPECT_EQ(process.received[1], "");
  EXPECT_FALSE(process.lost());
  output.resume_reading();
  finish(process);
  EXPECT_EQ(process.received[1].size(), 23893U);
  EXPECT_EQ(process.returncode, 4);
}

// P9: a grandchild that holds a pipe delays the end without limit; its words are received, too.
TEST_P(Subprocesses, AGrandchildThatKeepsThePipeDelaysTheEnd) {
  const std::string fifo = directory() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  auto& process = start_shell("cat " + fifo + " & exit 0");
  run_until([&] { return process.exited() && process.lost(0); });
  iterate(3);
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "exited:0"));
  std::ofstream(fifo) << "late";
  finish(process);
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:late", "1:lost", "2:lost",
                                   "exited:0", "connection_lost"));
  EXPECT_EQ(process.calls.back(), "connection_lost");
}

// P9: connection_lost() has no reason, and comes last.
TEST_P(Subprocesses, ConnectionLostIsLast) {
  const auto& process = run({"false"});
  EXPECT_EQ(process.calls.back(), "connection_lost");
  EXPECT_EQ(process.story(),
            calls("connection_made", "0:lost", "1:lost", "2:lost", "exited:1", "connection_lost"));
}

// P11: the number, also after the exit; the exit code, or minus the signal.
TEST_P(Subprocesses, NumberAndReturncodeStayKnown) {
  auto& process = start_shell("echo $$; kill -TERM $$");
  const int pid = process.transport.get_pid();
  finish(process);
  EXPECT_EQ(process.received[1], std::to_string(pid) + '\n');
  EXPECT_EQ(process.transport.get_pid(), pid);
  EXPECT_EQ(process.transport.get_returncode(), -15);
  destroy_loop();
  EXPECT_EQ(process.transport.get_returncode(), -15);
}

// P17: the pipes' transports write or read; a stream that is no pipe has none.
TEST_P(Subprocesses, PipeTransports) {
  auto& process = start({"cat"}, {.error = Stdio::merge()});
  EXPECT_TRUE(pipe(process, 0).can_write_eof());
  EXPECT_THROW(pipe(process, 0).pause_reading(), UnsupportedOperationError);
  EXPECT_THROW(pipe(process, 1).write("x"), UnsupportedOperationError);
  EXPECT_TRUE(pipe(process, 1).is_reading());
  for (const int fd : {-1, 2, 3}) {
    EXPECT_EQ(process.transport.get_pipe_transport(fd), std::nullopt);
  }
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.transport.get_pipe_transport(0), std::nullopt);
}

// P18: what is written to stdin arrives; closing it, or write_eof(), ends the input.
TEST_P(Subprocesses, WritingToStdin) {
  for (const bool by_eof : {false, true}) {
    auto& process = start({"cat"});
    pipe(process, 0).write("hello ");
    pipe(process, 0).write("world");
    by_eof ? pipe(process, 0).write_eof() : pipe(process, 0).close();
    finish(process);
    EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:hello world", "1:lost",
                                     "2:lost", "exited:0", "connection_lost"));
  }
}

// P18, F5: what the child does not read yet pauses the protocol; all of it arrives.
TEST_P(Subprocesses, WritingMuchToStdin) {
  auto& process = start_shell("read go; cat");
  const std::string text = pattern(2 * MiB);
  pipe(process, 0).write(text);
  EXPECT_EQ(process.calls, calls("connection_made", "pause_writing"));
  EXPECT_GT(pipe(process, 0).get_write_buffer_size(), MiB);
  pipe(process, 0).write("\n");
  pipe(process, 0).close();
  finish(process);
  const std::size_t line = text.find('\n') + 1;
  EXPECT_EQ(process.received[1], text.substr(line) + '\n');
  EXPECT_TRUE(process.has("resume_writing"));
}

// P18, I10: the child closing its stdin is noticed without writing.
TEST_P(Subprocesses, TheChildClosingItsStdinIsNoticed) {
  auto& process = start_shell("exec <&-; exec sleep 1000");
  run_until([&] { return process.lost(0); });
  EXPECT_FALSE(process.reasons[0]);
  process.transport.close();
  finish(process);
}

// X3: the number, and the pipes.
TEST_P(Subprocesses, ExtraInfo) {
  auto& process = start({"cat"}, {.error = Stdio::devnull()});
  const auto view = process.transport.get_extra_info<SubprocessView>("subprocess");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->pid, process.transport.get_pid());
  const auto descriptor = [&](int fd) {
    return pipe(process, fd).get_extra_info<PipeView>("pipe").value().descriptor;
  };
  EXPECT_EQ(view->pipes, (std::array{descriptor(0), descriptor(1), -1}));
  EXPECT_EQ(process.transport.get_extra_info("sockname", true), ExtraInfo(true));
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.transport.get_extra_info("subprocess"), ExtraInfo());
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Subprocesses,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

class SimulatedSubprocesses : public EveryLoop {};

// Without a real backend there are no processes: the call fails and says so, factory uncalled.
TEST_P(SimulatedSubprocesses, AreUnsupported) {
  auto future = subprocess_exec(loop(),
                                [] {
                                  ADD_FAILURE() << "the factory is called";
                                  return std::make_shared<SubprocessProtocol>();
                                },
                                {"true"});
  run_until([&] { return future.done(); });
  EXPECT_EQ(outcome(future), "subprocesses need a real backend, not a simulated one");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SimulatedSubprocesses,
                         ::testing::ValuesIn(backends_with_descriptors(false)), backend_name);

}  // namespace
}  // namespace weir::test
