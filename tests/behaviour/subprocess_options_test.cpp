// Chapter 7: what a process is given. P1, P2, P19, P22.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/weir.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "descriptor_support.h"
#include "subprocess_support.h"

namespace weir::test {
namespace {

using Fd = test::Descriptor;

class SubprocessOptionsTest : public SubprocessTest {
 protected:
  std::string file(const std::string& name, const std::string& text = {}) {
    const std::string path = directory() + '/' + name;
    std::ofstream(path) << text;
    return path;
  }
  /// What the shell writes when it runs `script`.
  std::string output_of(const std::string& script, SubprocessOptions options = {}) {
    const auto& process = run_shell(script, std::move(options));
    EXPECT_EQ(process.returncode, 0) << process.received[2];
    return process.received[1];
  }
};

// --- P1: the standard streams ------------------------------------------------------------------------

// P1: merged, what goes to stderr comes from the pipe of stdout, in order.
TEST_P(SubprocessOptionsTest, Merge) {
  const auto& process = run_shell("echo out; echo err >&2; echo out", {.error = Stdio::merge()});
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:out\nerr\nout\n", "1:lost",
                                   "exited:0", "connection_lost"));
}

// P1: stderr follows stdout wherever that goes.
TEST_P(SubprocessOptionsTest, MergeIntoADescriptor) {
  const std::string path = file("both");
  const Fd both(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  run_shell("echo out; echo err >&2",
            {.output = Stdio::descriptor(both.get()), .error = Stdio::merge()});
  EXPECT_EQ(text_of(path), "out\nerr\n");
}

// P1: /dev/null has nothing to read and swallows all; without pipes only the exit is told.
TEST_P(SubprocessOptionsTest, Devnull) {
  const auto& process = run_shell(
      "read line && exit 1; echo out; echo err >&2; test $(readlink /proc/self/fd/2) = /dev/null",
      {.input = Stdio::devnull(), .output = Stdio::devnull(), .error = Stdio::devnull()});
  EXPECT_EQ(process.calls, calls("connection_made", "exited:0", "connection_lost"));
}

// P1: an inherited stream is this process's own.
TEST_P(SubprocessOptionsTest, Inherit) {
  const std::string path = file("inherited");
  const Fd kept(::fcntl(1, F_DUPFD_CLOEXEC, 100));
  const Fd replacement(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::dup2(replacement.get(), 1), 1);
  const auto& process = run_shell("echo inherited", {.output = Stdio::inherit()});
  ::dup2(kept.get(), 1);
  EXPECT_EQ(process.story(),
            calls("connection_made", "0:lost", "2:lost", "exited:0", "connection_lost"));
  EXPECT_EQ(text_of(path), "inherited\n");
}

// P1: a descriptor becomes the stream; it stays the caller's.
TEST_P(SubprocessOptionsTest, Descriptors) {
  const std::string in = file("in", "from a file\n");
  const std::string out = file("out");
  const Fd input(::open(in.c_str(), O_RDONLY | O_CLOEXEC));
  const Fd output(::open(out.c_str(), O_WRONLY | O_CLOEXEC));
  const auto& process = run({"cat"}, {.input = Stdio::descriptor(input.get()),
                                      .output = Stdio::descriptor(output.get()),
                                      .error = Stdio::devnull()});
  EXPECT_EQ(process.calls, calls("connection_made", "exited:0", "connection_lost"));
  EXPECT_EQ(text_of(out), "from a file\n");
  EXPECT_TRUE(is_open(input.get()));
  EXPECT_EQ(::fcntl(output.get(), F_GETFD), FD_CLOEXEC);
}

// P1: a process's pipes are blocking at its end, as programs expect.
TEST_P(SubprocessOptionsTest, ThePipesOfAProcessAreBlocking) {
  const std::string flags = output_of("for i in 0 1 2; do grep flags /proc/self/fdinfo/$i; done");
  EXPECT_EQ(flags, "flags:\t00\nflags:\t01\nflags:\t01\n");
}

// P1: it all works in a process whose own standard streams are closed.
TEST_P(SubprocessOptionsTest, WithoutStandardStreamsOfOurOwn) {
  int kept[3];
  for (int i = 0; i < 3; ++i) kept[i] = ::fcntl(i, F_DUPFD_CLOEXEC, 100);
  for (int i = 0; i < 3; ++i) ::close(i);
  auto& process = start_shell("cat; echo err >&2");
  pipe(process, 0).write("in");
  pipe(process, 0).close();
  finish(process);
  auto& merged =
      run_shell("echo out; echo err >&2", {.input = Stdio::inherit(), .error = Stdio::merge()});
  const std::string none =
      failure_text({"true"}, {.output = Stdio::inherit(), .error = Stdio::merge()});
  for (int i = 0; i < 3; ++i) {
    ::dup2(kept[i], i);
    ::close(kept[i]);
  }
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:in", "1:lost", "2:err\n",
                                   "2:lost", "exited:0", "connection_lost"));
  EXPECT_EQ(merged.received[1], "out\nerr\n");
  EXPECT_EQ(none, "merge stderr with stdout: Bad file descriptor");
}

// --- P2: misuse --------------------------------------------------------------------------------------

// P2: an empty command is misuse; an empty first argument is not, if the program is named.
TEST_P(SubprocessOptionsTest, EmptyCommand) {
  auto future = subprocess_shell(
      loop(), [] { return std::make_shared<SubprocessProtocol>(); }, "");
  run_until([&] { return future.done(); });
  EXPECT_EQ(what(future.exception()),
            "a subprocess needs a command for the shell, and it is empty");
  EXPECT_EQ(run({"", "-c", "echo $0"}, {.executable = "/bin/sh"}).received[1], "\n");
}

// P2: misuse fails before anything is made, and says what is wrong.
TEST_P(SubprocessOptionsTest, Misuse) {
  const auto text = [&](std::vector<std::string> arguments, SubprocessOptions options = {}) {
    auto future = subprocess_exec(
        loop(),
        [] {
          ADD_FAILURE() << "the factory is called";
          return std::make_shared<SubprocessProtocol>();
        },
        std::move(arguments), std::move(options));
    EXPECT_FALSE(future.done());
    run_until([&] { return future.done(); });
    EXPECT_EQ(outcome(future), "invalid_argument");
    return what(future.exception());
  };
  const std::string nul("a\0b", 3);
  EXPECT_EQ(text({}), "a subprocess needs at least one argument, the program");
  EXPECT_EQ(text({"", "b"}), "a subprocess needs a program, and the first argument is empty");
  EXPECT_EQ(text({"a", nul}), "a subprocess takes no NUL in argument 1");
  EXPECT_EQ(text({"a"}, {.executable = nul}), "a subprocess takes no NUL in options.executable");
  EXPECT_EQ(text({"a"}, {.cwd = nul}), "a subprocess takes no NUL in options.cwd");
  EXPECT_EQ(text({"a"}, {.env = {{nul}}}), "a subprocess takes no NUL in options.env");
  for (const std::string entry : {"", "NAME", "=value"}) {
    EXPECT_EQ(text({"a"}, {.env = {{entry}}}),
              "a subprocess takes NAME=value in options.env, not \"" + entry + '"');
  }
  EXPECT_EQ(text({"a"}, {.input = Stdio::merge()}),
            "a subprocess may merge its error into its output only: Stdio::merge() is for "
            "options.error");
  EXPECT_EQ(text({"a"}, {.output = Stdio::merge()}), text({"a"}, {.input = Stdio::merge()}));
  EXPECT_EQ(text({"a"}, {.error = Stdio::descriptor(-3)}),
            "a subprocess takes open descriptors; options.error is -3, which is not open");
  EXPECT_EQ(
      text({"a"}, {.pass_fds = {0, -1}}),
      "a subprocess takes open descriptors; one of options.pass_fds is -1, which is not open");
  EXPECT_EQ(text({"a"}, {.process_group = -5}),
            "a subprocess takes the number of a process group, or 0 for a new one; "
            "options.process_group is -5");
}

// P2: the same for a shell's command.
TEST_P(SubprocessOptionsTest, MisuseOfTheShell) {
  auto future = subprocess_shell<SubprocessProtocol>(loop(), std::string("a\0b", 3));
  run_until([&] { return future.done(); });
  EXPECT_EQ(outcome(future), "invalid_argument");
}

// L7: on a closed loop nothing is started.
TEST_P(SubprocessOptionsTest, OnAClosedLoop) {
  loop().close();
  const auto future = subprocess_exec<SubprocessProtocol>(loop(), {"true"});
  EXPECT_EQ(outcome(future), "WrongStateError");
}

// P2: a descriptor that is not open is misuse: its number might be that of a new pipe next.
TEST_P(SubprocessOptionsTest, DescriptorsThatAreNotOpen) {
  const int number = Fd(::dup(0)).get();  // closed again, so the next that is opened has it
  EXPECT_EQ(failure({"true"}, {.input = Stdio::descriptor(number)}), "invalid_argument");
  EXPECT_EQ(failure_text({"true"}, {.pass_fds = {number}}),
            "a subprocess takes open descriptors; one of options.pass_fds is " +
                std::to_string(number) + ", which is not open");
}

// --- P19: what is inherited --------------------------------------------------------------------------

constexpr const char* list_descriptors =
    "for f in /proc/$$/fd/*; do n=${f##*/}; test $n -gt 2 && test -e $f && echo $n; done; true";

// P19: nothing but 0, 1 and 2 is inherited, whatever this process has open.
TEST_P(SubprocessOptionsTest, NothingElseIsInherited) {
  const Fd inheritable(::open("/dev/null", O_RDONLY));
  const Fd high(::fcntl(inheritable.get(), F_DUPFD, 100));
  EXPECT_EQ(output_of(list_descriptors), "");
}

// P19, P22: passed descriptors are, under their numbers; in this process nothing changes.
TEST_P(SubprocessOptionsTest, PassedDescriptorsAreInherited) {
  const std::string path = file("passed", "of the passed file\n");
  const Fd low(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const Fd passed(::fcntl(low.get(), F_DUPFD_CLOEXEC, 7));
  const std::string number = std::to_string(passed.get());
  EXPECT_EQ(output_of("cat <&" + number, {.pass_fds = {passed.get(), 1}}), "of the passed file\n");
  EXPECT_EQ(output_of(list_descriptors, {.pass_fds = {passed.get()}}), number + '\n');
  EXPECT_EQ(::fcntl(passed.get(), F_GETFD), FD_CLOEXEC);
}

// P19: a pipe of one child is not held open by another, also when descriptors are not closed.
TEST_P(SubprocessOptionsTest, NoChildHoldsThePipeOfAnother) {
  auto& first = start({"cat"});
  auto& second = start({"cat"}, {.close_fds = false});
  pipe(first, 0).close();
  finish(first);
  EXPECT_EQ(first.returncode, 0);
  EXPECT_FALSE(second.exited());
  second.transport.close();
  finish(second);
}

// P22: close_fds = false leaves those that are not close-on-exec.
TEST_P(SubprocessOptionsTest, DescriptorsThatAreNotClosed) {
  const Fd inheritable(::fcntl(0, F_DUPFD, 100));
  const Fd closing(::fcntl(0, F_DUPFD_CLOEXEC, 101));
  const std::string listed = '\n' + output_of(list_descriptors, {.close_fds = false});
  EXPECT_NE(listed.find('\n' + std::to_string(inheritable.get()) + '\n'), std::string::npos);
  EXPECT_EQ(listed.find('\n' + std::to_string(closing.get()) + '\n'), std::string::npos);
}

// --- P22: everything else ----------------------------------------------------------------------------

// P22: the environment is the one given, or this process's.
TEST_P(SubprocessOptionsTest, Environment) {
  EXPECT_EQ(run({"/usr/bin/env"}, {.env = {{"A=1", "B=x=y z", "EMPTY="}}}).received[1],
            "A=1\nB=x=y z\nEMPTY=\n");
  EXPECT_EQ(run({"/usr/bin/env"}, {.env = {{}}}).received[1], "");
  ::setenv("WEIR_TEST", "inherited", 1);
  EXPECT_EQ(output_of("echo $WEIR_TEST"), "inherited\n");
  ::unsetenv("WEIR_TEST");
}

// P22: a program is looked for in the PATH that the process will have.
TEST_P(SubprocessOptionsTest, TheProgramIsLookedForInItsOwnPath) {
  const std::string path = file("weir-hello", "#!/bin/sh\necho hello\n");
  ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  EXPECT_EQ(run({"weir-hello"}, {.env = {{"PATH=/nowhere:" + directory()}}}).received[1],
            "hello\n");
  EXPECT_EQ(failure_text({"weir-hello"}), "exec weir-hello: No such file or directory");
}

// P22: the working directory.
TEST_P(SubprocessOptionsTest, WorkingDirectory) {
  EXPECT_EQ(run({"/bin/pwd"}, {.cwd = directory()}).received[1], directory() + '\n');
}

// P22: another program than the first argument says; of a command, another shell.
TEST_P(SubprocessOptionsTest, Executable) {
  EXPECT_EQ(run({"my name", "-c", "echo $0"}, {.executable = "/bin/sh"}).received[1], "my name\n");
  EXPECT_EQ(output_of("echo $0", {.executable = "/bin/bash"}), "/bin/bash\n");
}

// P22: a session, or a process group, of its own.
TEST_P(SubprocessOptionsTest, SessionAndProcessGroup) {
  const auto fields = [&](SubprocessOptions options) {
    return output_of("cut -d' ' -f5,6 /proc/$$/stat; echo $$", std::move(options));
  };
  const std::string session = std::to_string(::getsid(0));
  const std::string own = fields({});
  EXPECT_TRUE(own.starts_with(std::to_string(::getpgrp()) + ' ' + session + '\n')) << own;
  const std::string group = fields({.process_group = 0});
  const std::string pid = group.substr(group.find('\n') + 1);
  EXPECT_EQ(group, pid.substr(0, pid.size() - 1) + ' ' + session + '\n' + pid);
  const std::string leader = fields({.start_new_session = true});
  const std::string lead = leader.substr(leader.find('\n') + 1, leader.size() - 1);
  const std::string id = lead.substr(0, lead.size() - 1);
  EXPECT_EQ(leader, id + ' ' + id + '\n' + lead);
}

// P22: a process group may be that of another process.
TEST_P(SubprocessOptionsTest, ProcessGroupOfAnother) {
  auto& first = start({"cat"}, {.process_group = 0});
  const int leader = first.transport.get_pid();
  EXPECT_EQ(output_of("cut -d' ' -f5 /proc/$$/stat", {.process_group = leader}),
            std::to_string(leader) + '\n');
  first.transport.close();
  finish(first);
  EXPECT_TRUE(failure_text({"true"}, {.process_group = 1 << 22})
                  .starts_with("join process group 4194304: "));
}

// P22: signals that this process ignores, or blocks, are not the process's concern.
TEST_P(SubprocessOptionsTest, Signals) {
  auto* before = std::signal(SIGPIPE, SIG_IGN);
  const auto ignored = [&](SubprocessOptions options) {
    const std::string line = output_of("grep SigIgn /proc/self/status", std::move(options));
    return std::stoul(line.substr(line.find('\t')), nullptr, 16) & (1UL << (SIGPIPE - 1));
  };
  EXPECT_EQ(ignored({}), 0U);
  EXPECT_NE(ignored({.restore_signals = false}), 0U);
  std::signal(SIGPIPE, before);
}

// P22: another user, with groups of its own.
TEST_P(SubprocessOptionsTest, User) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become somebody else";
  EXPECT_EQ(output_of("echo $(id -u) $(id -g) $(id -G)",
                      {.user = 1234, .group = 2345, .extra_groups = {{3456}}}),
            "1234 2345 2345 3456\n");
}

// P22: a process of another user that may not do what it is told says so.
TEST_P(SubprocessOptionsTest, AUserWhoMayNot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become somebody else";
  const std::string path = file("secret", "#!/bin/sh\n");
  ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  EXPECT_EQ(failure_text({path}, {.user = 1234}), "exec " + path + ": Permission denied");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SubprocessOptionsTest,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
