#include "children.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/weir.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "loop.h"
#include "spawn.h"

namespace weir::detail {
namespace {

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// A child that reads its input until that ends, and exits with `code`.
struct Reader final : ChildEvents {
  Reader(Loop& loop, int code) {
    NewPipe input = open_pipe();
    end_of_input = std::move(input.write_end);
    SpawnPlan plan{.arguments = {"/bin/sh", "-c", "read line; exit " + std::to_string(code)}};
    plan.streams[0] = input.read_end.get();
    child.emplace(loop, spawn(plan), *this);
    child->start_waiting();
  }
  void on_exited() noexcept override { returncode = child->status()->returncode; }

  Fd end_of_input;
  std::optional<Child> child;
  std::optional<int> returncode;
};

enum class Waiting : bool { by_pidfd, by_thread };

/// Children are waited for in both ways.
class Children : public ::testing::TestWithParam<Waiting> {
 protected:
  Children() : loop_(std::make_unique<EventLoop>()) {
    pretend_no_pidfd(GetParam() == Waiting::by_thread);
  }
  ~Children() override {
    pretend_no_pidfd(false);
    EXPECT_FALSE(has_children());
  }

  Loop& loop() { return Loop::of(*loop_); }
  void run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      loop_->run_once(std::chrono::milliseconds(100));
    }
  }
  static void wait_for_zombie(const Child& child) {
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.status()->pid), &info, WEXITED | WNOWAIT), 0);
  }

  std::unique_ptr<EventLoop> loop_;
};

TEST_P(Children, TellsHowItEnded) {
  Reader reader(loop(), 7);
  for (int i = 0; i < 3; ++i) loop_->run_once();
  EXPECT_FALSE(reader.child->exited());
  reader.end_of_input.reset();
  run_until([&] { return reader.returncode.has_value(); });
  EXPECT_EQ(reader.returncode, 7);
}

TEST_P(Children, TellsWhichSignalEndedIt) {
  Reader reader(loop(), 0);
  EXPECT_FALSE(reader.child->send_signal(SIGTERM));
  run_until([&] { return reader.returncode.has_value(); });
  EXPECT_EQ(reader.returncode, -SIGTERM);
  EXPECT_FALSE(reader.child->send_signal(SIGTERM)) << "it is gone, which is no error";
}

TEST_P(Children, ASignalThatIsNone) {
  Reader reader(loop(), 0);
  EXPECT_EQ(reader.child->send_signal(1000), std::errc::invalid_argument);
}

TEST_P(Children, SeveralEndInAnyOrder) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (int code = 0; code < 8; ++code) readers.push_back(std::make_unique<Reader>(loop(), code));
  for (const int first : {5, 0, 7, 2}) {
    Reader& reader = *readers[static_cast<std::size_t>(first)];
    reader.end_of_input.reset();
    run_until([&] { return reader.returncode.has_value(); });
    EXPECT_EQ(reader.returncode, first);
  }
  EXPECT_FALSE(readers[1]->returncode);
}

TEST_P(Children, IsReapedByTheLoopOnly) {
  Reader reader(loop(), 3);
  reader.end_of_input.reset();
  wait_for_zombie(*reader.child);
  EXPECT_TRUE(has_children()) << "it was reaped before it was told";
  run_until([&] { return reader.returncode.has_value(); });
  EXPECT_FALSE(has_children());
}

TEST_P(Children, IsKilledAndReapedWhenDropped) {
  { const Reader reader(loop(), 0); }
  EXPECT_FALSE(has_children());
  loop_->run_once();
}

TEST_P(Children, AZombieIsReapedWhenDropped) {
  {
    Reader reader(loop(), 5);
    reader.end_of_input.reset();
    wait_for_zombie(*reader.child);
    const auto status = reader.child->status();
    reader.child.reset();
    EXPECT_EQ(status->returncode, 5);
  }
  EXPECT_FALSE(has_children());
  for (int i = 0; i < 3; ++i) loop_->run_once();
}

TEST_P(Children, ReapedBySomebodyElse) {
  set_log_sink([](LogLevel, std::string_view) {});
  Reader reader(loop(), 5);
  reader.end_of_input.reset();
  int status = 0;
  EXPECT_EQ(::waitpid(reader.child->status()->pid, &status, 0), reader.child->status()->pid);
  EXPECT_FALSE(reader.child->send_signal(SIGKILL));
  run_until([&] { return reader.returncode.has_value(); });
  EXPECT_EQ(reader.returncode, 255);
  set_log_sink({});
}

// [O6]
TEST_P(Children, AForkedCopyLeavesItAlone) {
  Reader reader(loop(), 4);
  const pid_t copy = ::fork();
  if (copy == 0) {
    reader.child.reset();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  reader.end_of_input.reset();
  wait_for_zombie(*reader.child);
  const auto left = reader.child->status();
  reader.child.reset();
  EXPECT_EQ(left->returncode, 4);
}

TEST_P(Children, TheLoopMayGoFirst) {
  Reader reader(loop(), 0);
  reader.child.reset();
  loop_->close();
}

INSTANTIATE_TEST_SUITE_P(Loop, Children, ::testing::Values(Waiting::by_pidfd, Waiting::by_thread),
                         [](const ::testing::TestParamInfo<Waiting>& waiting) {
                           return waiting.param == Waiting::by_pidfd ? "pidfd" : "thread";
                         });

}  // namespace
}  // namespace weir::detail
