#include "thread_pool.h"

#include <gtest/gtest.h>
#include <weir/error.h>

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace weir::detail {
namespace {

using Queued = ThreadPool::Queued;

/// Keeps all threads of a pool busy, until let go.
class Busy {
 public:
  explicit Busy(ThreadPool& pool) : started_(static_cast<std::ptrdiff_t>(pool.max_threads())) {
    for (std::size_t i = 0; i < pool.max_threads(); ++i) {
      pool.submit([this] {
        started_.count_down();
        let_go_.wait();
      });
    }
    started_.wait();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  void let_go() { let_go_.count_down(); }

 private:
  std::latch started_;
  std::latch let_go_{1};
};

class ThreadPoolTest : public ::testing::Test {
 protected:
  ~ThreadPoolTest() override {
    pool->shut_down(Queued::run);
    pool->wait_for_end();
  }

  const std::shared_ptr<ThreadPool> pool = ThreadPool::make(2, "test");
};

TEST_F(ThreadPoolTest, RunsTasksInOrder) {
  const auto single = ThreadPool::make(1, "single");
  std::vector<int> order;
  for (int i = 0; i < 10; ++i) single->submit([&order, i] { order.push_back(i); });
  single->shut_down(Queued::run);
  single->wait_for_end();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST_F(ThreadPoolTest, WithdrawnTasksDoNotRun) {
  Busy busy(*pool);
  std::atomic<bool> ran = false;
  const auto captured = std::make_shared<int>(0);
  const auto ticket = pool->submit([&ran, captured] { ran = true; });
  EXPECT_EQ(captured.use_count(), 2);
  pool->withdraw(ticket);
  EXPECT_EQ(captured.use_count(), 1);
  busy.let_go();
  pool->shut_down(Queued::run);
  pool->wait_for_end();
  EXPECT_FALSE(ran);
  pool->withdraw(ticket);  // nothing
}

TEST_F(ThreadPoolTest, MakesNoMoreThreadsThanAllowed) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  for (int i = 0; i < 100; ++i) {
    pool->submit([&] {
      const int now = ++running;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::yield();
      --running;
    });
  }
  pool->shut_down(Queued::run);
  pool->wait_for_end();
  EXPECT_LE(most, 2);
}

TEST_F(ThreadPoolTest, ShutDownRunsOrDropsWhatIsQueued) {
  for (const Queued queued : {Queued::run, Queued::drop}) {
    const auto other = ThreadPool::make(1, "other");
    Busy busy(*other);
    std::atomic<bool> ran = false;
    const auto captured = std::make_shared<int>(0);
    other->submit([&ran, captured] { ran = true; });
    other->shut_down(queued);
    EXPECT_EQ(captured.use_count(), queued == Queued::run ? 2 : 1);
    EXPECT_THROW(other->submit([] {}), WrongStateError);
    busy.let_go();
    other->wait_for_end();
    EXPECT_EQ(ran, queued == Queued::run);
  }
}

TEST_F(ThreadPoolTest, TellsItsEnd) {
  int told = 0;
  const auto unused = ThreadPool::make(1, "unused");
  unused->shut_down(Queued::run);
  unused->when_ended([&] { ++told; });
  EXPECT_EQ(told, 1);

  std::binary_semaphore ended{0};
  auto other = ThreadPool::make(2, "other");
  Busy busy(*other);
  other->shut_down(Queued::run);
  other->when_ended([&] { ended.release(); });
  EXPECT_FALSE(ended.try_acquire());
  busy.let_go();
  ended.acquire();
}

// One that is dropped by its own last task must not wait for itself.
TEST_F(ThreadPoolTest, DoesNotWaitForItself) {
  std::binary_semaphore done{0};
  pool->submit([&] {
    pool->shut_down(Queued::run);
    pool->wait_for_end();
    done.release();
  });
  done.acquire();
}

TEST_F(ThreadPoolTest, OutlivesItsOwner) {
  std::binary_semaphore go{0};
  std::binary_semaphore done{0};
  auto other = ThreadPool::make(1, "other");
  other->submit([&] {
    go.acquire();
    done.release();
  });
  other->shut_down(Queued::run);
  other.reset();
  go.release();
  done.acquire();
}

}  // namespace
}  // namespace weir::detail
