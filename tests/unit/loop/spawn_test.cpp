#include "spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace weir::detail {
namespace {

using ::testing::HasSubstr;

/// Everything that is written to a pipe until nobody can write to it any more.
std::string read_all(const Fd& pipe) {
  std::string text;
  char chunk[4096];
  for (ssize_t size = 0; (size = ::read(pipe.get(), chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<std::size_t>(size));
  }
  return text;
}

/// Waits for a child: its exit code, or minus the signal that killed it.
int wait_for(const Spawned& child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child.pid, &status, 0), child.pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int run(const SpawnPlan& plan) { return wait_for(spawn(plan)); }

/// What a child writes to its stdout.
std::string output_of(SpawnPlan plan) {
  NewPipe pipe = open_pipe();
  plan.streams[1] = pipe.write_end.get();
  const Spawned child = spawn(plan);
  pipe.write_end.reset();
  std::string text = read_all(pipe.read_end);
  EXPECT_EQ(wait_for(child), 0);
  return text;
}

SpawnPlan shell(std::string command) {
  return {.arguments = {"/bin/sh", "-c", std::move(command)}};
}

/// What spawn() says is wrong.
std::string failure_of(const SpawnPlan& plan) {
  try {
    const Spawned child = spawn(plan);
    wait_for(child);
    return "no failure";
  } catch (const std::system_error& error) {
    return error.what();
  }
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

std::string temporary_directory() {
  std::string name = std::filesystem::temp_directory_path() / "weir-spawn-XXXXXX";
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  return name;
}

class Spawn : public ::testing::Test {
 protected:
  Spawn() : directory_(temporary_directory()) {}
  ~Spawn() override {
    std::filesystem::remove_all(directory_);
    EXPECT_FALSE(has_children());
  }

  std::string file(const std::string& name, const std::string& text, bool executable) const {
    const std::string path = directory_ + '/' + name;
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), executable ? 0755 : 0644), 0);
    return path;
  }

  const std::string directory_;
};

TEST_F(Spawn, ExitCode) {
  EXPECT_EQ(run(shell("exit 0")), 0);
  EXPECT_EQ(run(shell("exit 7")), 7);
  EXPECT_EQ(run(shell("kill -9 $$")), -9);
}

TEST_F(Spawn, ArgumentsAreNotInterpreted) {
  EXPECT_EQ(output_of({.arguments = {"/bin/echo", "-n", "$HOME *", "a b"}}), "$HOME * a b");
}

TEST_F(Spawn, ThePidfdIsTheChilds) {
  const Spawned child = spawn(shell("exit 3"));
  ASSERT_TRUE(child.pidfd);
  EXPECT_EQ(::fcntl(child.pidfd.get(), F_GETFD), FD_CLOEXEC);
  pollfd readable{child.pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 20000), 1);
  EXPECT_EQ(wait_for(child), 3);
}

TEST_F(Spawn, WithoutPidfd) {
  pretend_no_pidfd(true);
  const Spawned child = spawn(shell("exit 3"));
  pretend_no_pidfd(false);
  EXPECT_FALSE(child.pidfd);
  EXPECT_EQ(wait_for(child), 3);
}

// --- Which program ---------------------------------------------------------------------------------

TEST_F(Spawn, FindsTheProgramInThePathOfTheParent) {
  EXPECT_EQ(output_of({.arguments = {"echo", "found"}}), "found\n");
}

TEST_F(Spawn, FindsTheProgramInThePathOfTheChild) {
  file("hello", "#!/bin/sh\necho hello\n", true);
  const std::vector<std::string> env{"PATH=/nowhere:" + directory_};
  EXPECT_EQ(output_of({.arguments = {"hello"}, .environment = env}), "hello\n");
  EXPECT_EQ(failure_of({.arguments = {"hello"}, .environment = {{"PATH=/bin:/usr/bin"}}}),
            "exec hello: No such file or directory");
}

TEST_F(Spawn, WithoutAPathTheUsualOnesAreSearched) {
  EXPECT_EQ(output_of({.arguments = {"echo", "found"}, .environment = {{}}}), "found\n");
}

TEST_F(Spawn, AnEmptyEntryOfThePathIsTheWorkingDirectory) {
  file("hello", "#!/bin/sh\necho here\n", true);
  for (const char* path : {"PATH=", "PATH=:/bin", "PATH=/bin:"}) {
    EXPECT_EQ(output_of({.arguments = {"hello"}, .directory = directory_, .environment = {{path}}}),
              "here\n");
  }
}

TEST_F(Spawn, ANameWithASlashIsNotSearchedFor) {
  file("hello", "#!/bin/sh\necho here\n", true);
  EXPECT_EQ(output_of({.arguments = {"./hello"}, .directory = directory_}), "here\n");
  EXPECT_EQ(failure_of({.arguments = {"./hello"}, .directory = "/"}),
            "exec ./hello: No such file or directory");
}

TEST_F(Spawn, OneThatMayNotBeExecutedCountsOnlyIfThereIsNoOther) {
  file("echo", "#!/bin/sh\n", false);
  EXPECT_EQ(output_of({.arguments = {"echo", "other"},
                       .environment = {{"PATH=" + directory_ + ":/bin:/usr/bin"}}}),
            "other\n");
  EXPECT_EQ(
      failure_of({.arguments = {"echo"}, .environment = {{"PATH=" + directory_ + ":/nowhere"}}}),
      "exec echo: Permission denied");
}

TEST_F(Spawn, TheExecutableMayHaveAnotherName) {
  EXPECT_EQ(output_of({.arguments = {"my-name", "-c", "echo $0"}, .executable = "/bin/sh"}),
            "my-name\n");
}

TEST_F(Spawn, NamesWhatFailed) {
  EXPECT_EQ(failure_of({.arguments = {"no-such-program"}}),
            "exec no-such-program: No such file or directory");
  EXPECT_EQ(failure_of({.arguments = {""}}), "exec : No such file or directory");
  EXPECT_EQ(failure_of({.arguments = {"/"}}), "exec /: Permission denied");
  EXPECT_EQ(failure_of({.arguments = {file("text", "no program", true)}}),
            "exec " + directory_ + "/text: Exec format error");
  EXPECT_EQ(failure_of({.arguments = {"echo"}, .directory = "/nope"}),
            "chdir to /nope: No such file or directory");
  EXPECT_EQ(failure_of({.arguments = {"echo"}, .streams = {-1, 987, -1}}),
            "stdout from descriptor 987: Bad file descriptor");
  EXPECT_EQ(failure_of({.arguments = {"echo"}, .pass = {987}}),
            "pass descriptor 987: Bad file descriptor");
  EXPECT_EQ(failure_of({.arguments = {"echo"}, .process_group = 1 << 22}),
            "join process group 4194304: Operation not permitted");
  EXPECT_EQ(failure_of({.arguments = {"echo", std::string(std::size_t{16} << 20, 'x')}}),
            "exec echo: Argument list too long");
}

TEST_F(Spawn, NeedsADescriptorForThePidfd) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 0;
  ::setrlimit(RLIMIT_NOFILE, &none);
  const std::string failure = failure_of(shell("exit 0"));
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(failure, "start a process: Too many open files");
}

// --- Surroundings ----------------------------------------------------------------------------------

TEST_F(Spawn, TheEnvironmentIsTheOneGiven) {
  EXPECT_EQ(output_of({.arguments = {"/usr/bin/env"}, .environment = {{"A=1", "B=x y"}}}),
            "A=1\nB=x y\n");
  ::setenv("WEIR_SPAWN_TEST", "inherited", 1);
  EXPECT_EQ(output_of(shell("echo $WEIR_SPAWN_TEST")), "inherited\n");
  ::unsetenv("WEIR_SPAWN_TEST");
}

TEST_F(Spawn, TheWorkingDirectory) {
  EXPECT_EQ(output_of({.arguments = {"/bin/pwd"}, .directory = directory_}), directory_ + "\n");
}

TEST_F(Spawn, ASessionOfItsOwn) {
  SpawnPlan plan = shell("cut -d' ' -f6 /proc/self/stat");
  EXPECT_EQ(output_of(plan), std::to_string(::getsid(0)) + "\n");
  plan = shell("test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leads");
  plan.new_session = true;
  EXPECT_EQ(output_of(plan), "leads\n");
}

TEST_F(Spawn, AProcessGroupOfItsOwn) {
  SpawnPlan plan = shell("test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo leads");
  plan.process_group = 0;
  EXPECT_EQ(output_of(plan), "leads\n");
}

TEST_F(Spawn, AProcessGroupOfAnother) {
  SpawnPlan leader{.arguments = {"cat"}};
  NewPipe pipe = open_pipe();
  leader.streams[0] = pipe.read_end.get();
  leader.process_group = 0;
  const Spawned first = spawn(leader);
  SpawnPlan plan = shell("cut -d' ' -f5 /proc/self/stat");
  plan.process_group = first.pid;
  EXPECT_EQ(output_of(plan), std::to_string(first.pid) + "\n");
  pipe.write_end.reset();
  EXPECT_EQ(wait_for(first), 0);
}

TEST_F(Spawn, AnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become somebody else";
  SpawnPlan plan{.arguments = {"sh", "-c", "echo $(id -u) $(id -g) $(id -G)"}};
  plan.user = 1234;
  plan.group = 2345;
  plan.groups = {{3456, 4567}};
  EXPECT_EQ(output_of(plan), "1234 2345 2345 3456 4567\n");
  plan.groups.emplace();
  EXPECT_EQ(output_of(plan), "1234 2345 2345\n");
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), 1) << "the parent is affected";
  EXPECT_EQ(::getuid(), 0U);
  plan.arguments = {"/bin/sh"};
  plan.user = 0xFFFFFFFE;
  EXPECT_EQ(run(plan), 0);
}

// --- Signals ---------------------------------------------------------------------------------------

/// The signals of a line of /proc/PID/status; without 32 and 33, which the C library uses itself.
unsigned long signal_line(const std::string& status, const std::string& name) {
  constexpr unsigned long of_the_library = 3UL << 31;
  const std::size_t at = status.find(name + ":\t");
  if (at == std::string::npos) return ~0UL;
  return std::stoul(status.substr(at + name.size() + 2, 16), nullptr, 16) & ~of_the_library;
}

unsigned long mask_of(std::initializer_list<int> signals) {
  unsigned long mask = 0;
  for (const int signal : signals) mask |= 1UL << (signal - 1);
  return mask;
}

TEST_F(Spawn, CaughtSignalsAreResetIgnoredOnesStayIgnored) {
  auto* caught = std::signal(SIGUSR1, [](int) {});
  auto* ignored = std::signal(SIGUSR2, SIG_IGN);
  auto* pipe = std::signal(SIGPIPE, SIG_IGN);
  auto* interrupt =
      std::signal(SIGINT, SIG_DFL);  // which a shell ignores for what it runs in the background
  auto* quit = std::signal(SIGQUIT, SIG_DFL);
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);

  SpawnPlan plan{.arguments = {"cat", "/proc/self/status"}};
  std::string status = output_of(plan);
  EXPECT_EQ(signal_line(status, "SigIgn"), mask_of({SIGUSR2}));
  EXPECT_EQ(signal_line(status, "SigCgt"), mask_of({}));
  EXPECT_EQ(signal_line(status, "SigBlk"), mask_of({SIGHUP}));
  plan.restore_signals = false;
  EXPECT_EQ(signal_line(output_of(plan), "SigIgn"), mask_of({SIGUSR2, SIGPIPE}));

  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, &before, &after);
  EXPECT_TRUE(sigismember(&after, SIGHUP));
  EXPECT_FALSE(sigismember(&after, SIGTERM)) << "the parent's signals stayed blocked";
  std::signal(SIGUSR1, caught);
  std::signal(SIGUSR2, ignored);
  std::signal(SIGPIPE, pipe);
  std::signal(SIGINT, interrupt);
  std::signal(SIGQUIT, quit);
}

// --- Descriptors -----------------------------------------------------------------------------------

/// The descriptors a child has, besides 0 to 2 and the one it lists them with.
constexpr const char* list_descriptors =
    "for f in /proc/$$/fd/*; do n=${f##*/}; test $n -gt 2 && test -e $f && echo $n; done; true";

TEST_F(Spawn, NothingElseIsInherited) {
  const Fd inheritable(::open("/dev/null", O_RDONLY));
  const Fd high(::fcntl(inheritable.get(), F_DUPFD, 500));
  EXPECT_EQ(output_of(shell(list_descriptors)), "");
}

TEST_F(Spawn, UnlessItIsPassed) {
  const Fd inheritable(::open("/dev/null", O_RDONLY));
  const Fd closing(::fcntl(inheritable.get(), F_DUPFD_CLOEXEC, 500));
  SpawnPlan plan = shell(list_descriptors);
  plan.pass = {closing.get(), 0, 2};
  EXPECT_EQ(output_of(plan), std::to_string(closing.get()) + "\n");
  EXPECT_EQ(::fcntl(closing.get(), F_GETFD), FD_CLOEXEC) << "the parent's is changed";
}

TEST_F(Spawn, OrThoseThatSaySoStayOpen) {
  const Fd inheritable(::fcntl(0, F_DUPFD, 500));
  const Fd closing(::fcntl(0, F_DUPFD_CLOEXEC, 600));
  SpawnPlan plan = shell(list_descriptors);
  plan.close_others = false;
  const std::string listed = output_of(plan);
  EXPECT_THAT(listed, HasSubstr(std::to_string(inheritable.get()) + "\n"));
  EXPECT_THAT(listed, ::testing::Not(HasSubstr(std::to_string(closing.get()) + "\n")));
}

/// From now on this thread and its children get `error` from that system call. False: not allowed here.
bool refuse_call(unsigned number, unsigned error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(Spawn, NothingElseIsInheritedByAnOldKernelEither) {
  const Fd inheritable(::fcntl(0, F_DUPFD, 500));
  const Fd passed(::fcntl(0, F_DUPFD_CLOEXEC, 600));
  std::thread([&] {
    if (!refuse_call(SYS_close_range, ENOSYS)) GTEST_SKIP() << "no seccomp";
    SpawnPlan plan = shell(list_descriptors);
    plan.pass = {passed.get()};
    EXPECT_EQ(output_of(plan), std::to_string(passed.get()) + "\n");
  }).join();
}

TEST_F(Spawn, MergesErrorIntoOutput) {
  SpawnPlan plan = shell("echo out; echo err >&2");
  plan.merge_error = true;
  EXPECT_EQ(output_of(plan), "out\nerr\n");
}

/// The parent's own 0, 1 and 2, put back at the end.
class StandardStreamsKept {
 public:
  StandardStreamsKept() {
    for (int i = 0; i < 3; ++i) kept_[i] = ::fcntl(i, F_DUPFD_CLOEXEC, 100);
  }
  StandardStreamsKept(const StandardStreamsKept&) = delete;
  StandardStreamsKept& operator=(const StandardStreamsKept&) = delete;
  ~StandardStreamsKept() {
    for (int i = 0; i < 3; ++i) {
      ::dup2(kept_[i], i);
      ::close(kept_[i]);
    }
  }

 private:
  int kept_[3];
};

TEST_F(Spawn, WhenTheParentHasClosedItsStandardStreams) {
  std::string text;
  std::string error;
  int code = -1;
  {
    const StandardStreamsKept kept;
    for (int i = 0; i < 3; ++i) ::close(i);
    // These get the numbers 0 to 5, so that each stands where another is to go.
    NewPipe output = open_pipe();
    NewPipe errors = open_pipe();
    NewPipe input = open_pipe();
    SpawnPlan plan = shell("cat; echo err >&2");
    plan.streams = {input.read_end.get(), output.write_end.get(), errors.write_end.get()};
    const Spawned child = spawn(plan);
    output.write_end.reset();
    errors.write_end.reset();
    EXPECT_EQ(::write(input.write_end.get(), "in\n", 3), 3);
    input.write_end.reset();
    text = read_all(output.read_end);
    error = read_all(errors.read_end);
    code = wait_for(child);
  }
  EXPECT_EQ(text, "in\n");
  EXPECT_EQ(error, "err\n");
  EXPECT_EQ(code, 0);
}

TEST_F(Spawn, StreamsMayBeExchanged) {
  NewPipe pipe = open_pipe();
  std::string text;
  {
    const StandardStreamsKept kept;
    ::dup2(pipe.write_end.get(), 2);
    const Fd null = open_null_device();
    ::dup2(null.get(), 1);
    SpawnPlan plan = shell("echo out; echo err >&2");
    plan.streams = {-1, 2, 1};
    EXPECT_EQ(run(plan), 0);
  }
  pipe.write_end.reset();
  text = read_all(pipe.read_end);
  EXPECT_EQ(text, "out\n");
}

TEST_F(Spawn, OneDescriptorMayBeAllThree) {
  const Fd file(::open((directory_ + "/all").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  SpawnPlan plan = shell("echo out; echo err >&2; echo in >&0");
  plan.streams = {file.get(), file.get(), file.get()};
  EXPECT_EQ(run(plan), 0);
  ::lseek(file.get(), 0, SEEK_SET);
  EXPECT_EQ(read_all(file), "out\nerr\nin\n");
}

// --- Many at once ----------------------------------------------------------------------------------

TEST_F(Spawn, FromManyThreadsAtOnce) {
  constexpr int each = 50;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < each; ++i) {
        EXPECT_EQ(run({.arguments = {"/bin/true"}}), 0);
        EXPECT_EQ(failure_of({.arguments = {"no-such-program"}}),
                  "exec no-such-program: No such file or directory");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weir::detail
