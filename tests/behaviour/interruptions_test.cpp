#include <sys/time.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <string_view>

#include "every_stream.h"
#include "loop_support.h"

namespace weir::test {
namespace {

/// Interrupts system calls all the time while it lives: by a signal that a handler of no effect takes, after which
/// nothing is restarted.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action {};
    action.sa_handler = [](int) { ++count_; };
    ::sigaction(SIGALRM, &action, &before_);
    count_ = 0;
    set_interval(300);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;
  ~Interruptions() {
    set_interval(0);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

  int count() const { return count_; }

 private:
  static void set_interval(suseconds_t microseconds) {
    const timeval interval{.tv_sec = 0, .tv_usec = microseconds};
    const itimerval timer{.it_interval = interval, .it_value = interval};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }

  static inline std::atomic<int> count_ = 0;
  struct sigaction before_ {};
};

class Interrupted : public EveryStream {};

bool has_descriptors(const StreamMaker& maker) { return maker.backend != BackendKind::simulated; }

INSTANTIATE_TEST_SUITE_P(Behaviour, Interrupted,
                         ::testing::ValuesIn(stream_makers_where(has_descriptors)), maker_name);

// C14, S2: system calls that signals interrupt lose nothing of what is on its way, be it much or little at once.
TEST_P(Interrupted, StreamsLoseNothing) {
  auto [left, right] = connected_pair();
  const std::string much = pattern(2 * MiB, 1);
  const std::string little = pattern(100 * KiB, 2);
  const Interruptions interruptions;
  left.transport.write(much);
  for (std::size_t i = 0; i < little.size(); i += 256) {
    right.transport.write(std::string_view(little).substr(i, 256));
    loop().run_once(std::chrono::microseconds(500));
  }
  run_until([&] {
    return right.received.size() >= much.size() && left.received.size() >= little.size();
  });
  EXPECT_TRUE(right.received == much);
  EXPECT_TRUE(left.received == little);
  EXPECT_GT(interruptions.count(), 0);
}

// C14, L14: nor is a timer early, or a peer unheard, for one who waits.
TEST_P(Interrupted, WaitsGoOn) {
  auto [left, right] = connected_pair();
  const Interruptions interruptions;
  for (int i = 0; i < 10; ++i) {
    const auto due = loop().time() + std::chrono::milliseconds(5);
    bool early = false;
    loop().call_at(due, [&] {
      early = loop().time() + std::chrono::microseconds(1) < due;
      left.transport.write("!");
      loop().stop();
    });
    loop().run_forever();
    EXPECT_FALSE(early);
  }
  run_until([&] { return right.received.size() == 10; });
  EXPECT_GT(interruptions.count(), 0);
}

}  // namespace
}  // namespace weir::test
