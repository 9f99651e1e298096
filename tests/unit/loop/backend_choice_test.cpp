#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weir/event_loop.h>
#include <weir/log.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "fd.h"

// Which backend BackendKind::automatic is, and that it says why.
namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BackendChoice : public testing::Test {
 protected:
  BackendChoice() {
    set_log_sink([this](LogLevel level, std::string_view text) {
      records.push_back(std::string(to_string(level)) + ": " + std::string(text));
    });
  }
  ~BackendChoice() override {
    set_log_sink({});
    ::unsetenv("WEIR_URING_WITHOUT");
  }
  static void mask(const char* features) { ::setenv("WEIR_URING_WITHOUT", features, 1); }
  static std::string_view automatic() { return EventLoop().backend_name(); }

  std::vector<std::string> records;
};

TEST_F(BackendChoice, IsWhatIsAskedFor) {
  EXPECT_EQ(EventLoop({.backend = BackendKind::epoll}).backend_name(), "epoll");
  EXPECT_EQ(EventLoop({.backend = BackendKind::simulated}).backend_name(), "simulated");
  EXPECT_THAT(records, IsEmpty());
}

// automatic is one of the two, and epoll for a reason only.
TEST_F(BackendChoice, IsOfTheFasterOne) {
  if (automatic() == "uring") {
    EXPECT_THAT(records, IsEmpty());
  } else {
    EXPECT_EQ(automatic(), "epoll");
    EXPECT_THAT(records.at(0), HasSubstr("debug: a loop runs on epoll: "));
  }
}

TEST_F(BackendChoice, IsEpollWithoutIoUring) {
  mask("everything");
  EXPECT_EQ(automatic(), "epoll");
  EXPECT_THAT(records,
              ElementsAre(HasSubstr("debug: a loop runs on epoll: there is no io_uring here: ")));
}

// What makes io_uring the faster one may be missing from a kernel that has it.
TEST_F(BackendChoice, IsEpollWhereIoUringMayBeSlower) {
  for (const char* feature :
       {"deferred_work", "incremental_buffers", "multishot_receive", "large_queues"}) {
    records.clear();
    mask(feature);
    EXPECT_EQ(automatic(), "epoll") << feature;
    EXPECT_THAT(records, ElementsAre(HasSubstr("there is no io_uring here: "))) << feature;
  }
}

// Two descriptors are left, which epoll needs.
TEST_F(BackendChoice, IsEpollWithoutADescriptorForARing) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const detail::Fd next(::dup(STDIN_FILENO));
  const rlimit few{.rlim_cur = static_cast<rlim_t>(next.get()) + 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::string name(automatic());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(name, "epoll");
  EXPECT_THAT(records, ElementsAre(HasSubstr("debug: a loop runs on epoll: ")));
}

TEST_F(BackendChoice, RefusesIoUringWhereThereIsNone) {
  mask("everything");
  try {
    const EventLoop loop({.backend = BackendKind::uring});
    FAIL() << "there is a loop";
  } catch (const std::system_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("there is no io_uring here: "));
  }
  EXPECT_THAT(records, IsEmpty());
}

}  // namespace
}  // namespace weir
