#include <weir/executor.h>

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loop_support.h"
#include "loop_test.h"
#include "off_thread.h"

// Work on other threads: L35, L36.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

class Executor : public EveryLoop {
 protected:
  template <class T>
  T wait_for(Future<T> future, std::source_location where = std::source_location::current()) {
    return result_off_thread(loop(), std::move(future), where);
  }
  template <class T>
  std::string outcome_of(const Future<T>& future) {
    run_until_off_thread(loop(), [&] { return future.done(); });
    return outcome(future);
  }
};

/// Work that begins, and ends when it is told to.
class Gate {
 public:
  auto work() {
    return [this] {
      entered_.release();
      leave_.acquire();
    };
  }
  void wait_until_entered() { entered_.acquire(); }
  void open() { leave_.release(); }

 private:
  std::counting_semaphore<> entered_{0};
  std::counting_semaphore<> leave_{0};
};

// L35: the function runs on another thread; its result comes from the loop.
TEST_P(Executor, RunsOnAnotherThread) {
  const auto mine = std::this_thread::get_id();
  const auto future = run_in_executor(loop(), [] { return std::this_thread::get_id(); });
  EXPECT_FALSE(future.done());
  std::thread::id completed_on;
  future.add_done_callback([&](const auto&) { completed_on = std::this_thread::get_id(); });
  EXPECT_NE(wait_for(future), mine);
  iterate(1);
  EXPECT_EQ(completed_on, mine);
}

// L35: results and functions need be movable only; there may be no result.
TEST_P(Executor, CarriesAnyResult) {
  auto argument = std::make_unique<int>(7);
  auto future = run_in_executor(loop(), [argument = std::move(argument)]() mutable {
    ++*argument;
    return std::move(argument);
  });
  const std::unique_ptr<int> result = wait_for(std::move(future));
  EXPECT_EQ(*result, 8);
  int calls = 0;
  wait_for(run_in_executor(loop(), [&] { ++calls; }));
  EXPECT_EQ(calls, 1);
}

// L35: what the function throws, the future throws.
TEST_P(Executor, CarriesExceptions) {
  EXPECT_THROW(wait_for(run_in_executor(loop(), []() -> int { throw TestError(); })), TestError);
  EXPECT_THROW(wait_for(run_in_executor(loop(), [] { throw std::out_of_range("far"); })),
               std::out_of_range);
}

// C4: an empty function is an argument error.
TEST_P(Executor, RefusesAnEmptyFunction) {
  EXPECT_EQ(outcome(run_in_executor(loop(), std::function<int()>())), "invalid_argument");
  EXPECT_EQ(outcome(run_in_executor(loop(), Callback())), "invalid_argument");
}

// L35: the function is destroyed on the other thread, before the future is done.
TEST_P(Executor, DestroysTheFunctionFirst) {
  const auto held = std::make_shared<int>(0);
  long count = 0;
  const auto future = run_in_executor(loop(), [held] {});
  future.add_done_callback([&](const auto&) { count = held.use_count(); });
  wait_for(future);
  iterate(1);
  EXPECT_EQ(count, 1);
}

// L35: work waits for a free thread, first in, first out.
TEST_P(Executor, RunsInOrder) {
  ThreadPoolExecutor executor(1);
  EXPECT_EQ(executor.max_workers(), 1U);
  std::vector<int> order;
  std::vector<Future<void>> futures;
  for (int i = 0; i < 5; ++i) {
    futures.push_back(run_in_executor(loop(), executor, [&order, i] { order.push_back(i); }));
  }
  for (const auto& future : futures) wait_for(future);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

// L35: an executor has four threads more than there are cores, 32 at most.
TEST_P(Executor, HasABoundOfItsOwn) {
  const ThreadPoolExecutor executor;
  EXPECT_GE(executor.max_workers(), 4U);
  EXPECT_LE(executor.max_workers(), 32U);
}

// L35: work at the same time has threads of its own.
TEST_P(Executor, RunsAtTheSameTime) {
  Gate gate;
  ThreadPoolExecutor executor(2);
  const auto one = run_in_executor(loop(), executor, gate.work());
  const auto two = run_in_executor(loop(), executor, gate.work());
  gate.wait_until_entered();
  gate.wait_until_entered();
  gate.open();
  gate.open();
  wait_for(one);
  wait_for(two);
}

// L33: signals are not for the threads of an executor.
TEST_P(Executor, TakesNoSignals) {
  const auto blocked = wait_for(run_in_executor(loop(), [] {
    sigset_t set;
    sigemptyset(&set);
    pthread_sigmask(SIG_BLOCK, nullptr, &set);
    return sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGUSR1) == 1;
  }));
  EXPECT_TRUE(blocked);
}

// L35: cancelling drops work that has not begun, and the function with it.
TEST_P(Executor, CancellingDropsWhatHasNotBegun) {
  Gate gate;
  ThreadPoolExecutor executor(1);
  const auto running = run_in_executor(loop(), executor, gate.work());
  gate.wait_until_entered();
  bool ran = false;
  const auto held = std::make_shared<int>(0);
  const auto queued = run_in_executor(loop(), executor, [&ran, held] { ran = true; });
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_TRUE(queued.cancel());
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(outcome(queued), "cancelled");
  gate.open();
  wait_for(running);
  wait_for(run_in_executor(loop(), executor, [] {}));
  EXPECT_FALSE(ran);
}

// L35: cancelling does not stop work that has begun; its result is dropped.
TEST_P(Executor, CancellingDoesNotStopWhatHasBegun) {
  Gate gate;
  std::atomic<bool> finished = false;
  const auto result = std::make_shared<int>(0);
  ThreadPoolExecutor executor(1);
  const auto future = run_in_executor(loop(), executor, [&, work = gate.work()] {
    work();
    finished = true;
    return result;
  });
  gate.wait_until_entered();
  EXPECT_TRUE(future.cancel());
  EXPECT_EQ(outcome(future), "cancelled");
  EXPECT_FALSE(finished);
  gate.open();
  wait_for(run_in_executor(loop(), executor, [] {}));
  EXPECT_TRUE(finished);
  EXPECT_EQ(outcome(future), "cancelled");
  EXPECT_EQ(result.use_count(), 1);
}

// L6, L35: closing the loop waits for nobody; what comes later is dropped in silence.
TEST_P(Executor, DropsWhatComesAfterTheLoopWasClosed) {
  Gate gate;
  const auto result = std::make_shared<int>(0);
  const auto function = std::make_shared<int>(0);
  ThreadPoolExecutor executor(1);
  const auto in_mine = run_in_executor(loop(), executor, [&, function, work = gate.work()] {
    work();
    return result;
  });
  const auto in_default = run_in_executor(loop(), [&, function, work = gate.work()] { work(); });
  gate.wait_until_entered();
  gate.wait_until_entered();
  loop().close();
  EXPECT_EQ(outcome(in_mine), "pending");
  destroy_loop();
  gate.open();
  gate.open();
  executor.shutdown();
  EXPECT_EQ(result.use_count(), 1);
  while (function.use_count() > 1) std::this_thread::yield();
  EXPECT_EQ(outcome(in_mine), "pending");
  EXPECT_EQ(outcome(in_default), "pending");
}

// L7: a closed loop takes no work.
TEST_P(Executor, RefusesWorkOfAClosedLoop) {
  ThreadPoolExecutor executor;
  loop().close();
  EXPECT_EQ(outcome(run_in_executor(loop(), [] {})), "WrongStateError");
  EXPECT_EQ(outcome(run_in_executor(loop(), executor, [] {})), "WrongStateError");
  EXPECT_EQ(outcome(loop().shutdown_default_executor()), "WrongStateError");
  EXPECT_THROW(loop().set_default_executor(std::make_shared<ThreadPoolExecutor>()),
               WrongStateError);
}

// L36: the default executor may be chosen; none is an argument error.
TEST_P(Executor, DefaultMayBeChosen) {
  EXPECT_THROW(loop().set_default_executor(nullptr), std::invalid_argument);
  const auto mine = std::make_shared<ThreadPoolExecutor>(1);
  loop().set_default_executor(mine);
  const auto there = [] { return std::this_thread::get_id(); };
  EXPECT_EQ(wait_for(run_in_executor(loop(), there)),
            wait_for(run_in_executor(loop(), *mine, there)));
}

// L36: after shutdown_default_executor() default work is refused, other work is not.
TEST_P(Executor, ShutDownDefaultRefusesWork) {
  wait_for(run_in_executor(loop(), [] {}));
  wait_for(loop().shutdown_default_executor());
  EXPECT_EQ(outcome(run_in_executor(loop(), [] {})), "WrongStateError");
  ThreadPoolExecutor executor;
  wait_for(run_in_executor(loop(), executor, [] {}));
  wait_for(loop().shutdown_default_executor());
}

// L36: an executor that was never used is shut down as well.
TEST_P(Executor, UnusedDefaultIsShutDownAtOnce) {
  EXPECT_EQ(outcome(loop().shutdown_default_executor(5s)), "result");
  EXPECT_EQ(outcome(run_in_executor(loop(), [] {})), "WrongStateError");
}

// L36: shutdown_default_executor() waits for work that runs or is queued, and does not block the loop.
TEST_P(Executor, ShutDownWaitsWithoutBlocking) {
  Gate gate;
  loop().set_default_executor(std::make_shared<ThreadPoolExecutor>(1));
  const auto running = run_in_executor(loop(), gate.work());
  const auto queued = run_in_executor(loop(), [] { return 5; });
  gate.wait_until_entered();
  const auto ended = loop().shutdown_default_executor();
  Journal journal;
  loop().call_soon(journal.note("meanwhile"));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("meanwhile"));
  EXPECT_FALSE(ended.done());
  gate.open();
  wait_for(ended);
  EXPECT_EQ(outcome(running), "result");
  EXPECT_EQ(wait_for(queued), 5);
}

// L36: after the timeout it warns and waits no longer.
TEST_P(Executor, ShutDownGivesUpAfterTheTimeout) {
  Gate gate;
  const auto running = run_in_executor(loop(), gate.work());
  gate.wait_until_entered();
  const auto ended = loop().shutdown_default_executor(20ms);
  wait_for(ended);
  EXPECT_EQ(outcome(running), "pending");
  EXPECT_EQ(take_logs(),
            calls("warning: The executor did not finish joining its threads within 0.02 seconds."));
  gate.open();
  wait_for(running);
}

// L36: cancelling stops the waiting, nothing else.
TEST_P(Executor, ShutDownMayBeCancelled) {
  Gate gate;
  const auto running = run_in_executor(loop(), gate.work());
  gate.wait_until_entered();
  const auto ended = loop().shutdown_default_executor(20ms);
  EXPECT_TRUE(ended.cancel());
  EXPECT_EQ(outcome(run_in_executor(loop(), [] {})), "WrongStateError");
  gate.open();
  wait_for(running);
}

// L36: an executor's own shutdown waits for what is queued, or drops it; its futures are cancelled.
TEST_P(Executor, OwnShutDownRunsOrCancelsWhatIsQueued) {
  for (const bool cancels : {false, true}) {
    Gate gate;
    ThreadPoolExecutor executor(1);
    const auto running = run_in_executor(loop(), executor, gate.work());
    const auto queued = run_in_executor(loop(), executor, [] {});
    gate.wait_until_entered();
    executor.shutdown({.wait = false, .cancel_futures = cancels});
    EXPECT_EQ(outcome(run_in_executor(loop(), executor, [] {})), "WrongStateError");
    gate.open();
    EXPECT_EQ(outcome_of(running), "result");
    EXPECT_EQ(outcome_of(queued), cancels ? "cancelled" : "result");
  }
}

// L36: an executor that goes waits for its work, unless it was shut down without waiting.
TEST_P(Executor, WaitsForItsWorkWhenItGoes) {
  Gate gate;
  std::optional<ThreadPoolExecutor> executor(std::in_place, 1);
  const auto first = run_in_executor(loop(), *executor, [] {});
  executor.reset();
  run_until_off_thread(loop(), [&] { return first.done(); });

  executor.emplace(1);
  const auto second = run_in_executor(loop(), *executor, gate.work());
  gate.wait_until_entered();
  executor->shutdown({.wait = false});
  executor.reset();
  EXPECT_EQ(outcome(second), "pending");
  gate.open();
  wait_for(second);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Executor, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
