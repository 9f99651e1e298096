#include <gtest/gtest.h>
#include <sys/wait.h>
#include <weir/weir.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spawn.h"

namespace weir::detail {
namespace {

/// Keeps what it is told.
struct Diary final : SubprocessProtocol {
  void connection_made(SubprocessTransport made) override { transport = std::move(made); }
  void pipe_data_received(int, std::span<const std::byte> data) override {
    text.append(reinterpret_cast<const char*>(data.data()), data.size());
  }
  void process_exited() override { returncode = transport.get_returncode(); }
  void connection_lost(const CloseReason&) override { lost = true; }

  SubprocessTransport transport;
  std::string text;
  std::optional<int> returncode;
  bool lost = false;
};

/// What subprocesses do where the kernel has no pidfd. [O4]
class SubprocessesWithoutPidfd : public ::testing::Test {
 protected:
  SubprocessesWithoutPidfd() { pretend_no_pidfd(true); }
  ~SubprocessesWithoutPidfd() override {
    pretend_no_pidfd(false);
    siginfo_t info{};
    EXPECT_NE(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0) << "a child is left";
  }

  void run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      loop.run_once(std::chrono::milliseconds(100));
    }
  }
  std::shared_ptr<Diary> start(std::string script) {
    auto diary = std::make_shared<Diary>();
    const auto future = subprocess_shell(
        loop, [diary] { return diary; }, std::move(script));
    run_until([&] { return future.done(); });
    return future.result().protocol;
  }

  EventLoop loop;
};

TEST_F(SubprocessesWithoutPidfd, RunAndEnd) {
  const auto diary = start("read line; echo $line; exit 6");
  diary->transport.get_pipe_transport(0)->write("hello\n");
  run_until([&] { return diary->lost; });
  EXPECT_EQ(diary->text, "hello\n");
  EXPECT_EQ(diary->returncode, 6);
}

TEST_F(SubprocessesWithoutPidfd, AreKilledByClose) {
  const auto diary = start("exec sleep 1000");
  diary->transport.close();
  run_until([&] { return diary->lost; });
  EXPECT_EQ(diary->returncode, -9);
}

TEST_F(SubprocessesWithoutPidfd, AreKilledWithTheLoop) {
  const auto diary = start("exec sleep 1000");
  loop.close();
  EXPECT_EQ(diary->returncode, std::nullopt);
  EXPECT_EQ(diary->transport.get_returncode(), -9);
}

TEST_F(SubprocessesWithoutPidfd, AreKilledByCancelling) {
  const auto diary = std::make_shared<Diary>();
  const auto future = subprocess_exec(loop, [diary] { return diary; }, {"sleep", "1000"});
  loop.run_once();
  future.cancel();
  run_until([&] { return future.done() && diary->lost; });
  EXPECT_TRUE(future.cancelled());
}

TEST_F(SubprocessesWithoutPidfd, ManyLeaveNoThread) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  const auto before = threads();
  std::vector<std::shared_ptr<Diary>> diaries;
  for (int i = 0; i < 50; ++i) diaries.push_back(start("exit " + std::to_string(i)));
  for (int i = 0; i < 50; ++i) {
    run_until([&] { return diaries[static_cast<std::size_t>(i)]->lost; });
    EXPECT_EQ(diaries[static_cast<std::size_t>(i)]->returncode, i);
  }
  run_until([&] { return threads() <= before; });
}

}  // namespace
}  // namespace weir::detail
