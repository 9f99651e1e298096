// Chapter 7: signals, closing, cancelling, and that nothing is left. P12-P16, P20, P21.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/weir.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "subprocess_support.h"

namespace weir::test {
namespace {

class SubprocessEnd : public SubprocessTest {
 protected:
  /// What `call` throws, as an error of the system.
  template <class F>
  static std::error_code error_of(F call) {
    try {
      call();
      return {};
    } catch (const std::system_error& error) {
      return error.code();
    }
  }
};

// P13: send_signal(), terminate() and kill() send what they say.
TEST_P(SubprocessEnd, Signals) {
  using Act = void (*)(const SubprocessTransport&);
  const std::vector<std::pair<Act, int>> cases{
      {[](const SubprocessTransport& transport) { transport.send_signal(SIGHUP); }, -SIGHUP},
      {[](const SubprocessTransport& transport) { transport.terminate(); }, -SIGTERM},
      {[](const SubprocessTransport& transport) { transport.kill(); }, -SIGKILL}};
  for (const auto& [act, returncode] : cases) {
    auto& process = start({"cat"});
    act(process.transport);
    finish(process);
    EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:lost", "2:lost",
                                     "exited:" + std::to_string(returncode), "connection_lost"));
  }
}

// P13: a signal that the process handles does not end it.
TEST_P(SubprocessEnd, ASignalThatIsHandled) {
  auto& process = start_shell("trap 'echo caught; exit 5' USR1; echo ready; read line");
  run_until([&] { return process.received[1] == "ready\n"; });
  process.transport.send_signal(SIGUSR1);
  pipe(process, 0).write("\n");
  finish(process);
  EXPECT_EQ(process.received[1], "ready\ncaught\n");
  EXPECT_EQ(process.returncode, 5);
}

// P13: signal 0 only asks; what is no signal is refused.
TEST_P(SubprocessEnd, WhatIsNoSignalIsRefused) {
  auto& process = start({"cat"});
  process.transport.send_signal(0);
  for (const int number : {-1, 65, 1000}) {
    EXPECT_EQ(error_of([&] { process.transport.send_signal(number); }),
              std::errc::invalid_argument);
  }
  process.transport.close();
  finish(process);
}

// P14: once the exit is known signals do nothing, after connection_lost() there is no such process.
TEST_P(SubprocessEnd, SignalsAfterTheExit) {
  auto& process = start({"true"});
  bool signalled = false;
  process.on("process_exited", [&] {
    process.transport.kill();
    process.transport.terminate();
    process.transport.send_signal(SIGHUP);
    signalled = true;
  });
  process.on("connection_lost", [&] { process.transport.kill(); });
  finish(process);
  EXPECT_TRUE(signalled);
  EXPECT_EQ(process.returncode, 0);
  EXPECT_EQ(error_of([&] { process.transport.kill(); }), std::errc::no_such_process);
  EXPECT_EQ(error_of([&] { process.transport.terminate(); }), std::errc::no_such_process);
  EXPECT_EQ(error_of([&] { process.transport.send_signal(0); }), std::errc::no_such_process);
}

// P14: a process that has exited, but is not yet known to have, may be signalled.
TEST_P(SubprocessEnd, SignallingAZombie) {
  auto& process = start_shell("read line; exit 6");
  pipe(process, 0).write("\n");
  siginfo_t info{};
  ASSERT_EQ(
      ::waitid(P_PID, static_cast<id_t>(process.transport.get_pid()), &info, WEXITED | WNOWAIT), 0);
  process.transport.kill();
  finish(process);
  EXPECT_EQ(process.returncode, 6);
}

// A handle of no process is as one whose process is gone.
TEST_P(SubprocessEnd, AHandleOfNoProcess) {
  const SubprocessTransport none;
  EXPECT_EQ(none.get_pid(), 0);
  EXPECT_EQ(none.get_returncode(), std::nullopt);
  EXPECT_TRUE(none.is_closing());
  EXPECT_EQ(none.get_protocol(), nullptr);
  EXPECT_EQ(none.get_pipe_transport(0), std::nullopt);
  none.close();
  EXPECT_EQ(error_of([&] { none.kill(); }), std::errc::no_such_process);
}

// P15: close() kills a process that runs, and everything is told all the same.
TEST_P(SubprocessEnd, CloseKillsARunningProcess) {
  auto& process = start({"sleep", "1000"});
  const int pid = process.transport.get_pid();
  EXPECT_FALSE(process.transport.is_closing());
  process.transport.close();
  EXPECT_TRUE(process.transport.is_closing());
  EXPECT_TRUE(pipe(process, 0).is_closing());
  process.transport.close();
  EXPECT_EQ(process.calls, calls("connection_made"));
  finish(process);
  EXPECT_EQ(process.story(),
            calls("connection_made", "0:lost", "1:lost", "2:lost", "exited:-9", "connection_lost"));
  EXPECT_FALSE(is_running(pid));
  process.transport.close();
}

// P15: a finished process is not signalled: how it ended stays.
TEST_P(SubprocessEnd, CloseAfterTheExit) {
  const std::string fifo = directory() + "/fifo";
  auto& process = start_shell("mkfifo " + fifo + "; cat " + fifo + " & exit 7");
  run_until([&] { return process.exited(); });
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.transport.get_returncode(), 7);
  // Nobody reads the pipe of the grandchild any more; this lets it go.
  EXPECT_EQ(std::system(("echo > " + fifo).c_str()), 0);
}

// P15: closing from inside each callback.
TEST_P(SubprocessEnd, CloseFromInsideCallbacks) {
  for (const char* callback : {"connection_made", "pipe_data_received", "pipe_connection_lost",
                               "process_exited", "connection_lost"}) {
    auto& process = new_recorder();
    process.on(callback, [&] { process.transport.close(); });
    const auto future =
        subprocess_shell(loop(), process.factory(), "echo x; exec >&- 2>&-; read line");
    if (std::string_view(callback) == "process_exited" ||
        std::string_view(callback) == "connection_lost") {
      run_until([&] { return process.lost(1); });
      process.transport.kill();
    }
    finish(process);
    EXPECT_EQ(process.returncode, -9) << callback;
    EXPECT_EQ(std::ranges::count(process.calls, "connection_lost"), 1) << callback;
  }
}

// P15: closing with bytes pending that the child never reads.
TEST_P(SubprocessEnd, CloseWithBytesPending) {
  auto& process = start({"sleep", "1000"});
  pipe(process, 0).write(std::string(MiB, 'x'));
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:lost", "2:lost", "exited:-9",
                                   "pause_writing", "connection_lost"));
  EXPECT_EQ(process.reasons[0].code(), std::errc::broken_pipe);
}

// P16: the exit does not close the transport by itself.
TEST_P(SubprocessEnd, TheExitDoesNotClose) {
  const std::string fifo = directory() + "/fifo";
  auto& process = start_shell("mkfifo " + fifo + "; cat " + fifo + " & exit 0");
  run_until([&] { return process.exited(); });
  EXPECT_FALSE(process.transport.is_closing());
  EXPECT_EQ(std::system(("echo late > " + fifo).c_str()), 0);
  finish(process);
  EXPECT_EQ(process.received[1], "late\n");
}

// P12: if somebody else reaped the child the returncode is 255, and a warning is logged.
TEST_P(SubprocessEnd, ReapedBySomebodyElse) {
  auto& process = start_shell("read line; exit 3");
  const int pid = process.transport.get_pid();
  pipe(process, 0).write("\n");
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  process.transport.kill();  // harms nobody
  finish(process);
  EXPECT_EQ(process.returncode, 255);
  EXPECT_EQ(process.transport.get_returncode(), 255);
  EXPECT_EQ(take_logs(), calls("warning: child process " + std::to_string(pid) +
                               " was reaped by somebody else: will report returncode 255"));
}

// P12: the same where the process ignores the exit of its children.
TEST_P(SubprocessEnd, WhereChildrenAreNotWaitedFor) {
  auto* before = std::signal(SIGCHLD, SIG_IGN);
  auto& process = run({"false"});
  EXPECT_EQ(failure_text({"no-such-program"}), "exec no-such-program: No such file or directory");
  std::signal(SIGCHLD, before);
  EXPECT_EQ(process.returncode, 255);
  EXPECT_EQ(take_logs().size(), 1U);
}

// P21: the exit statuses of unrelated children are left alone.
TEST_P(SubprocessEnd, UnrelatedChildrenAreLeftAlone) {
  const pid_t unrelated = ::fork();
  if (unrelated == 0) ::_exit(9);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(unrelated), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(run({"false"}).returncode, 1);
  start({"sleep", "1000"}).transport.close();
  int status = 0;
  EXPECT_EQ(::waitpid(unrelated, &status, WNOHANG), unrelated);
  EXPECT_EQ(WEXITSTATUS(status), 9);
}

// P21: a loop on any thread has processes.
TEST_P(SubprocessEnd, OnAnotherThread) {
  std::optional<int> returncode;
  std::thread([&, kind = GetParam()] {
    EventLoop own(loop_options(kind));
    SubprocessRecorder process;
    const auto future = subprocess_shell(own, process.factory(), "exit 8");
    test::run_until(own, [&] { return process.lost(); });
    returncode = process.returncode;
    process.transport = {};
    own.close();
  }).join();
  EXPECT_EQ(returncode, 8);
}

// P20: closing the loop kills and reaps, without callbacks.
TEST_P(SubprocessEnd, ClosingTheLoop) {
  auto& process = start({"sleep", "1000"});
  const int pid = process.transport.get_pid();
  loop().close();
  EXPECT_FALSE(has_children());
  EXPECT_FALSE(is_running(pid));
  EXPECT_EQ(process.calls, calls("connection_made"));
  EXPECT_EQ(process.transport.get_returncode(), -9);
  EXPECT_EQ(error_of([&] { process.transport.kill(); }), std::errc::no_such_process);
  EXPECT_EQ(SubprocessRecorder::alive, 0);
}

// P20: dropping every handle changes nothing: the process goes on, and is told about.
TEST_P(SubprocessEnd, DroppingTheHandles) {
  auto& process = start_shell("read line; exit 2");
  const Transport input = pipe(process, 0);
  process.transport = {};
  iterate(3);
  input.write("\n");
  run_until([&] { return process.lost(); });
  EXPECT_TRUE(process.has("connection_lost"));
}

// P20: cancelled before it was started, nothing happens at all.
TEST_P(SubprocessEnd, CancelledBeforeItIsStarted) {
  SubprocessRecorder& process = new_recorder();
  const auto future = subprocess_exec(loop(), process.factory(), {"sleep", "1000"});
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancelled());
  iterate(3);
  EXPECT_EQ(process.calls, Calls());
  EXPECT_FALSE(has_children());
}

// P20: cancelled after it was started: closed, killed and reaped, and cancelled after that. Its
// protocol gets all its callbacks. [B4]
TEST_P(SubprocessEnd, CancelledAfterItWasStarted) {
  const std::size_t before = open_descriptors();
  SubprocessRecorder& process = new_recorder();
  const auto future = subprocess_exec(loop(), process.factory(), {"sleep", "1000"});
  loop().run_once();
  ASSERT_TRUE(has_children());
  EXPECT_TRUE(future.cancel());
  EXPECT_FALSE(future.done());
  bool reaped_first = false;
  future.add_done_callback(
      [&](const auto&) { reaped_first = !has_children() && open_descriptors() == before; });
  run_until([&] { return future.done(); });
  EXPECT_TRUE(future.cancelled());
  EXPECT_TRUE(future.cancel() == false);
  finish(process);
  EXPECT_TRUE(reaped_first);
  EXPECT_EQ(process.story(),
            calls("connection_made", "0:lost", "1:lost", "2:lost", "exited:-9", "connection_lost"));
}

// P20: cancelled from inside its own factory.
TEST_P(SubprocessEnd, CancelledByItsFactory) {
  SubprocessRecorder& process = new_recorder();
  Future<Subprocess<SubprocessProtocol>> future;
  future = subprocess_exec(loop(),
                           [&] {
                             future.cancel();
                             return process.protocol();
                           },
                           {"sleep", "1000"});
  run_until([&] { return future.done(); });
  EXPECT_TRUE(future.cancelled());
  iterate(2);
  EXPECT_FALSE(has_children());
  EXPECT_EQ(process.calls, Calls());
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SubprocessEnd,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
