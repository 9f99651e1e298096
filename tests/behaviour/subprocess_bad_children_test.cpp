// Chapter 7: processes that do not do what one hopes for, and many of them.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/weir.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "endpoint_support.h"
#include "subprocess_support.h"

namespace weir::test {
namespace {

class BadChildren : public SubprocessTest {
 protected:
  std::string script(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = directory() + '/' + name;
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
};

// P6, P9: a child that closes its outputs early and lives on.
TEST_P(BadChildren, ClosesItsOutputEarlyAndLivesOn) {
  auto& process = start_shell("echo bye; exec >&- 2>&-; read line; exit 3");
  run_until([&] { return process.lost(1) && process.lost(2); });
  EXPECT_EQ(process.story(), calls("connection_made", "1:bye\n", "1:lost", "2:lost"));
  EXPECT_EQ(process.transport.get_returncode(), std::nullopt);
  pipe(process, 0).write("\n");
  finish(process);
  EXPECT_EQ(process.returncode, 3);
}

// P18: a child that closes its input and lives on: what is written afterwards is dropped.
TEST_P(BadChildren, ClosesItsInputAndLivesOn) {
  auto& process = start_shell("exec <&-; exec sleep 1000");
  run_until([&] { return process.lost(0); });
  EXPECT_FALSE(process.reasons[0]);
  const auto input = process.transport.get_pipe_transport(0);
  ASSERT_TRUE(input);
  input->write("too late");
  EXPECT_TRUE(input->is_closing());
  EXPECT_FALSE(process.exited());
  process.transport.kill();
  finish(process);
  EXPECT_EQ(process.story(),
            calls("connection_made", "0:lost", "1:lost", "2:lost", "exited:-9", "connection_lost"));
}

// P11: a child that dies of a signal of its own making.
TEST_P(BadChildren, DiesOfASignal) {
  EXPECT_EQ(run_shell("kill -SEGV $$").returncode, -11);
  EXPECT_EQ(run_shell("kill -ABRT $$").returncode, -6);
}

// P13: a child that ignores SIGTERM is killed.
TEST_P(BadChildren, IgnoresTerminate) {
  auto& process = start_shell("trap '' TERM; echo ready; read line; echo still here; read line");
  run_until([&] { return process.received[1] == "ready\n"; });
  process.transport.terminate();
  pipe(process, 0).write("\n");
  run_until([&] { return process.received[1] == "ready\nstill here\n"; });
  process.transport.kill();
  finish(process);
  EXPECT_EQ(process.returncode, -9);
}

// F5, P15: a child that never reads its input, of which there is much: the writer is told to pause, and
// close() ends it.
TEST_P(BadChildren, NeverReadsItsInput) {
  constexpr std::size_t total = 100 * MiB;
  auto& process = start({"sleep", "1000"});
  Transport input = pipe(process, 0);
  const std::string block(MiB, 'x');
  bool paused = false;
  process.on("pause_writing", [&] { paused = true; });
  std::size_t polite = 0;
  for (; polite < total && !paused; polite += block.size()) input.write(block);
  EXPECT_LE(polite, 2 * MiB);
  // One who does not listen has it all kept.
  for (std::size_t written = polite; written < total; written += block.size()) input.write(block);
  EXPECT_GT(input.get_write_buffer_size(), total - 2 * MiB);
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:lost", "2:lost", "exited:-9",
                                   "pause_writing", "connection_lost"));
  EXPECT_EQ(process.reasons[0].code(), std::errc::broken_pipe);
}

// P18, O5: a child that goes while it is written to: an error, not a signal.
TEST_P(BadChildren, GoesWhileItIsWrittenTo) {
  auto& process = start({"head", "-c", "1"});
  Transport input = pipe(process, 0);
  input.write(std::string(4 * MiB, 'x'));
  finish(process);
  EXPECT_EQ(process.reasons[0].code(), std::errc::broken_pipe);
  EXPECT_EQ(process.received[1], "x");
  EXPECT_EQ(process.returncode, 0);
  input.write("dropped");
}

// P5: a child that writes without end, to a reader who pauses: it is held up, not stored.
TEST_P(BadChildren, WritesWithoutEnd) {
  auto& process = start({"cat", "/dev/zero"});
  run_until([&] { return process.received[1].size() > MiB; });
  pipe(process, 1).pause_reading();
  const std::size_t received = process.received[1].size();
  iterate(5);
  EXPECT_EQ(process.received[1].size(), received);
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.received[1].size(), received);
  EXPECT_EQ(process.returncode, -9);
}

// P9, P15: a grandchild keeps the pipes; close() does not wait for it.
TEST_P(BadChildren, AGrandchildKeepsThePipes) {
  const std::string fifo = directory() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  auto& process = start_shell("(read line < " + fifo + ") & echo started; exit 0");
  run_until([&] { return process.exited() && process.received[1] == "started\n"; });
  EXPECT_FALSE(process.lost());
  process.transport.close();
  finish(process);
  EXPECT_EQ(process.returncode, 0);
  std::ofstream(fifo) << "go\n";
}

// P3: programs that are none.
TEST_P(BadChildren, CannotBeExecuted) {
  const std::string plain = script("plain", "#!/bin/sh\n", 0600);
  const std::string text = script("text", "just text\n", 0700);
  const std::string orphan = script("orphan", "#!/no/such/interpreter\n", 0700);
  EXPECT_EQ(failure_text({plain}), "exec " + plain + ": Permission denied");
  EXPECT_EQ(failure_text({text}), "exec " + text + ": Exec format error");
  EXPECT_EQ(failure_text({orphan}), "exec " + orphan + ": No such file or directory");
  EXPECT_EQ(failure_text({directory()}), "exec " + directory() + ": Permission denied");
  EXPECT_EQ(failure_text({"true"}, {.cwd = plain}), "chdir to " + plain + ": Not a directory");
  EXPECT_EQ(failure_text({"true", std::string(16 * MiB, 'x')}),
            "exec true: Argument list too long");
}

// P3: no descriptors left: the call fails, whatever the step, and nothing leaks.
TEST_P(BadChildren, WithoutDescriptors) {
  failure({"no-such-program"});  // what the sanitizers check at first uses descriptors
  const std::size_t before = open_descriptors();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const int next = Descriptor(::dup(0)).get();
  // Between none, and one less than three pipes and a pidfd need.
  for (int more = 0; more < 7; ++more) {
    rlimit lowered = limit;
    lowered.rlim_cur = static_cast<rlim_t>(next + more);
    ::setrlimit(RLIMIT_NOFILE, &lowered);
    EXPECT_EQ(failure({"true"}), "Too many open files") << more;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(open_descriptors(), before) << more;
    EXPECT_FALSE(has_children());
  }
}

// P20: a thousand processes, some of which cannot start, leave no zombie and no descriptor.
TEST_P(BadChildren, AThousand) {
  const std::size_t before = open_descriptors();
  constexpr int at_once = 20;
  for (int round = 0; round < 1000 / at_once; ++round) {
    std::vector<Future<Subprocess<SubprocessProtocol>>> futures;
    std::vector<SubprocessRecorder*> processes;
    std::size_t failed = 0;
    for (int i = 0; i < at_once; ++i) {
      SubprocessRecorder& process = new_recorder();
      std::string program = i % 4 == 0 ? "no-such-program" : i % 4 == 1 ? "cat" : "true";
      futures.push_back(subprocess_exec(loop(), process.factory(), {std::move(program)}));
      if (i % 4 != 0) processes.push_back(&process);
      if (i % 4 == 1) {
        process.on("connection_made", [&process] { process.transport.close(); });
      }
    }
    run_until([&] {
      return std::ranges::all_of(processes, [](const auto* process) { return process->lost(); }) &&
             std::ranges::all_of(futures, [](const auto& future) { return future.done(); });
    });
    for (const auto& future : futures) failed += outcome(future) == "result" ? 0 : 1;
    ASSERT_EQ(failed, at_once / 4);
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_FALSE(has_children());
}

// P21: several loops on several threads start processes at once; each hears of its own.
TEST_P(BadChildren, OnSeveralLoopsAtOnce) {
  constexpr int each = 30;
  std::vector<std::thread> threads;
  std::vector<int> right(3, 0);
  for (std::size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&count = right[t], t, kind = GetParam()] {
      EventLoop own(loop_options(kind));
      for (int i = 0; i < each; ++i) {
        std::string output;
        std::optional<int> returncode;
        struct Listener final : SubprocessProtocol {
          std::string& output;
          std::optional<int>& returncode;
          SubprocessTransport transport;
          Listener(std::string& out, std::optional<int>& code) : output(out), returncode(code) {}
          void connection_made(SubprocessTransport made) override { transport = std::move(made); }
          void pipe_data_received(int, std::span<const std::byte> data) override {
            output.append(reinterpret_cast<const char*>(data.data()), data.size());
          }
          void connection_lost(const CloseReason&) override {
            returncode = transport.get_returncode();
          }
        };
        const std::string word = std::to_string(t) + '-' + std::to_string(i);
        const auto future = subprocess_shell(
            own, [&] { return std::make_shared<Listener>(output, returncode); },
            "echo " + word + "; exit " + std::to_string(i));
        test::run_until(own, [&] { return returncode.has_value(); });
        if (output == word + '\n' && returncode == i) ++count;
      }
      own.close();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(3, each));
}

INSTANTIATE_TEST_SUITE_P(Behaviour, BadChildren,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
