#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "loop_support.h"
#include "loop_test.h"

// Signals: L33, L34.
namespace weir::test {
namespace {

/// What the system does with `signal` now.
auto disposition(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

/// The loops that can handle signals. None is handled when a test begins or ends.
class HandlingSignals : public EveryLoop {
 protected:
  void SetUp() override {
    expect_defaults();
    EveryLoop::SetUp();
  }
  void TearDown() override {
    EveryLoop::TearDown();
    expect_defaults();
  }

  static void expect_defaults() {
    for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM}) EXPECT_EQ(disposition(signal), SIG_DFL);
  }
};

// L33: the callback does not interrupt: it runs from the loop, behind what was queued before.
TEST_P(HandlingSignals, CallsBackFromTheLoop) {
  Journal journal;
  loop().add_signal_handler(
      SIGUSR1, journal.note("signal", [&] { loop().call_soon(journal.note("after")); }));
  loop().call_soon(journal.note("before"));
  raise(SIGUSR1);
  EXPECT_EQ(journal.calls, Calls());
  run_until([&] { return journal.has("after"); });
  EXPECT_EQ(journal.calls, calls("before", "signal", "after"));
}

// L33: a loop that waits is woken, whichever thread the signal interrupts.
TEST_P(HandlingSignals, WakesAWaitingLoop) {
  Journal journal;
  loop().add_signal_handler(SIGTERM, journal.note("signal", [&] { loop().stop(); }));
  std::thread sender([] { raise(SIGTERM); });
  loop().run_forever();
  sender.join();
  EXPECT_EQ(journal.calls, calls("signal"));
}

// L33: deliveries may be merged, but none is lost, however many come.
TEST_P(HandlingSignals, MergesAndLosesNone) {
  Journal journal;
  loop().add_signal_handler(SIGUSR1, journal.note("one"));
  loop().add_signal_handler(SIGUSR2, journal.note("two"));
  for (int i = 0; i < 100'000; ++i) raise(SIGUSR1);
  raise(SIGUSR2);
  iterate(3);
  EXPECT_EQ(journal.calls, calls("one", "two"));
  raise(SIGUSR1);
  iterate(3);
  EXPECT_EQ(journal.calls, calls("one", "two", "one"));
}

/// True if the thread `id` of this process waits in a system call.
bool is_waiting(pid_t id) {
  std::ifstream file("/proc/self/task/" + std::to_string(id) + "/stat");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return text.find(") S ") != std::string::npos;
}

// L33: a system call that a signal interrupts goes on; errno is kept.
TEST_P(HandlingSignals, DoesNotDisturbSystemCalls) {
  Journal journal;
  loop().add_signal_handler(SIGUSR1, journal.note("signal"));
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  std::atomic<pid_t> id = 0;
  std::string outcome;
  std::thread reader([&] {
    id = gettid();
    char byte = 0;
    const auto count = read(pipe[0], &byte, 1);
    outcome = count == 1 ? std::string(1, byte) : "error " + std::to_string(errno);
  });
  run_until([&] { return id != 0 && is_waiting(id); });
  pthread_kill(reader.native_handle(), SIGUSR1);
  // The thread sanitizer keeps the signal back until the call returns.
  for (int i = 0; i < 100 && !journal.has("signal"); ++i) {
    loop().run_once(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(write(pipe[1], "x", 1), 1);
  reader.join();
  EXPECT_EQ(outcome, "x");
  errno = ENOTBLK;
  raise(SIGUSR1);
  EXPECT_EQ(errno, ENOTBLK);
  close(pipe[0]);
  close(pipe[1]);
}

// L33: unknown numbers, and an empty callback, are argument errors.
TEST_P(HandlingSignals, RefusesUnknownSignals) {
  for (const int signal : {-1, 0, 65, 10'000}) {
    EXPECT_THROW(loop().add_signal_handler(signal, [] {}), std::invalid_argument) << signal;
    EXPECT_THROW(loop().remove_signal_handler(signal), std::invalid_argument) << signal;
  }
  EXPECT_THROW(loop().add_signal_handler(32, [] {}), std::invalid_argument);  // the C library's own
  EXPECT_THROW(loop().add_signal_handler(SIGUSR1, nullptr), std::invalid_argument);
}

// L33: a signal that no process can catch is a wrong-state error.
TEST_P(HandlingSignals, RefusesWhatCannotBeCaught) {
  EXPECT_THROW(loop().add_signal_handler(SIGKILL, [] {}), WrongStateError);
  EXPECT_THROW(loop().add_signal_handler(SIGSTOP, [] {}), WrongStateError);
}

// L33: a new callback replaces the old one, which does not run even if the signal has come already.
TEST_P(HandlingSignals, ReplacesACallback) {
  Journal journal;
  const auto held = std::make_shared<int>(0);
  loop().add_signal_handler(SIGUSR1, [held, note = journal.note("old")]() mutable { note(); });
  loop().add_signal_handler(SIGUSR1, journal.note("new"));
  EXPECT_EQ(held.use_count(), 1);
  raise(SIGUSR1);
  run_until([&] { return journal.has("new"); });
  EXPECT_EQ(journal.calls, calls("new"));
}

// L34: removing tells whether there was a callback, restores the default, and prevents one that is
// queued.
TEST_P(HandlingSignals, RemovesACallback) {
  Journal journal;
  EXPECT_FALSE(loop().remove_signal_handler(SIGUSR1));
  loop().add_signal_handler(SIGUSR1, journal.note("one"));
  loop().add_signal_handler(
      SIGUSR2, journal.note("two", [&] { EXPECT_TRUE(loop().remove_signal_handler(SIGUSR1)); }));
  raise(SIGUSR2);
  raise(SIGUSR1);
  iterate(3);
  EXPECT_EQ(journal.calls, calls("two"));
  EXPECT_EQ(disposition(SIGUSR1), SIG_DFL);
  EXPECT_NE(disposition(SIGUSR2), SIG_DFL);
  EXPECT_FALSE(loop().remove_signal_handler(SIGUSR1));
  EXPECT_TRUE(loop().remove_signal_handler(SIGUSR2));
  EXPECT_EQ(disposition(SIGUSR2), SIG_DFL);
}

// L34: a callback may remove itself, and another may come later.
TEST_P(HandlingSignals, MayRemoveItself) {
  Journal journal;
  for (int round = 1; round <= 2; ++round) {
    loop().add_signal_handler(SIGUSR1, journal.note("signal", [&] {
      EXPECT_TRUE(loop().remove_signal_handler(SIGUSR1));
    }));
    raise(SIGUSR1);
    iterate(3);
    EXPECT_EQ(journal.count("signal"), static_cast<std::size_t>(round));
  }
}

// L20: what a callback throws is reported, and the signal stays handled.
TEST_P(HandlingSignals, ReportsWhatACallbackThrows) {
  int count = 0;
  loop().add_signal_handler(SIGUSR1, [&] {
    if (++count == 1) throw TestError();
  });
  raise(SIGUSR1);
  iterate(3);
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
  raise(SIGUSR1);
  iterate(3);
  EXPECT_EQ(count, 2);
}

// L33: one loop of the process at a time owns the signals: until it removed its last callback, or is
// closed.
TEST_P(HandlingSignals, HaveOneOwnerAtATime) {
  EventLoop other(loop_options(GetParam()));
  loop().add_signal_handler(SIGUSR1, [] {});
  EXPECT_THROW(other.add_signal_handler(SIGUSR2, [] {}), WrongStateError);
  EXPECT_FALSE(other.remove_signal_handler(SIGUSR1));
  EXPECT_NE(disposition(SIGUSR1), SIG_DFL);
  EXPECT_TRUE(loop().remove_signal_handler(SIGUSR1));
  other.add_signal_handler(SIGUSR2, [] {});
  EXPECT_THROW(loop().add_signal_handler(SIGUSR1, [] {}), WrongStateError);
  other.close();
  loop().add_signal_handler(SIGUSR1, [] {});
}

// L33: the owner may run on any thread, which need not be the one the signal interrupts.
TEST_P(HandlingSignals, WorkOnAnyThread) {
  Journal journal;
  std::thread runner([&] {
    EventLoop other(loop_options(GetParam()));
    other.add_signal_handler(SIGUSR1, journal.note("signal", [&] { other.stop(); }));
    kill(getpid(), SIGUSR1);
    other.run_forever();
  });
  runner.join();
  EXPECT_EQ(journal.calls, calls("signal"));
}

// L6, L7: closing removes all, and a closed loop takes none.
TEST_P(HandlingSignals, EndWithTheLoop) {
  const auto held = std::make_shared<int>(0);
  loop().add_signal_handler(SIGUSR1, [held] {});
  loop().add_signal_handler(SIGUSR2, [held] {});
  loop().close();
  EXPECT_EQ(held.use_count(), 1);
  expect_defaults();
  EXPECT_THROW(loop().add_signal_handler(SIGUSR1, [] {}), WrongStateError);
  EXPECT_FALSE(loop().remove_signal_handler(SIGUSR1));
}

/// How the child `pid` exits.
int exit_code_of(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// O6: a forked child starts with the defaults, and may handle signals with a loop of its own.
TEST_P(HandlingSignals, AreNotInheritedByAForkedChild) {
  Journal journal;
  loop().add_signal_handler(SIGUSR1, journal.note("signal"));
  const pid_t child = fork();
  if (child == 0) _exit(disposition(SIGUSR1) == SIG_DFL ? 0 : 1);
  EXPECT_EQ(exit_code_of(child), 0);
  EXPECT_NE(disposition(SIGUSR1), SIG_DFL);
  raise(SIGUSR1);
  iterate(3);
  EXPECT_EQ(journal.calls, calls("signal"));
}

// O6: also a child made behind the library's back never tells its parent's loop.
TEST_P(HandlingSignals, OfAChildAreNotTheParents) {
  Journal journal;
  loop().add_signal_handler(SIGUSR1, journal.note("signal"));
  const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
    syscall(SYS_exit_group, 0);
  }
  EXPECT_EQ(exit_code_of(child), 0);
  iterate(3);
  EXPECT_EQ(journal.calls, Calls());
}

// L25: in debug mode, handlers are added on the loop's thread only.
TEST_P(HandlingSignals, CheckTheThread) {
  loop().set_debug(true);
  std::string thrown;
  loop().call_soon([&] {
    std::thread([&] {
      try {
        loop().add_signal_handler(SIGUSR1, [] {});
      } catch (...) {
        thrown = kind_of(std::current_exception());
      }
    }).join();
  });
  iterate(1);
  EXPECT_EQ(thrown, "WrongStateError");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, HandlingSignals,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

/// The loops that cannot.
class WithoutSignals : public EveryLoop {};

// L33: signals are the system's, and not part of a simulation.
TEST_P(WithoutSignals, AreUnsupported) {
  EXPECT_THROW(loop().add_signal_handler(SIGUSR1, [] {}), UnsupportedOperationError);
  EXPECT_THROW(loop().add_signal_handler(SIGKILL, [] {}), WrongStateError);
  EXPECT_FALSE(loop().remove_signal_handler(SIGUSR1));
  EXPECT_EQ(disposition(SIGUSR1), SIG_DFL);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, WithoutSignals,
                         ::testing::ValuesIn(backends_with_descriptors(false)), backend_name);

}  // namespace
}  // namespace weir::test
