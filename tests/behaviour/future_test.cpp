#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loop_support.h"
#include "loop_test.h"

// Futures: A1, A2.
namespace weir::test {
namespace {

class Futures : public EveryLoop {
 protected:
  static std::exception_ptr error() { return std::make_exception_ptr(TestError()); }
};

// A1: a future is pending first; reading it early is an invalid-state error.
TEST_P(Futures, IsPendingFirst) {
  const auto future = loop().create_future<int>();
  EXPECT_FALSE(future.done());
  EXPECT_FALSE(future.cancelled());
  EXPECT_THROW(future.result(), InvalidStateError);
  EXPECT_THROW(future.exception(), InvalidStateError);
}

// A1: it is finished with a result, once.
TEST_P(Futures, HasAResultOnce) {
  const auto future = loop().create_future<std::string>();
  future.set_result("first");
  EXPECT_TRUE(future.done());
  EXPECT_FALSE(future.cancelled());
  EXPECT_EQ(future.exception(), nullptr);
  EXPECT_THROW(future.set_result("second"), InvalidStateError);
  EXPECT_THROW(future.set_exception(error()), InvalidStateError);
  EXPECT_FALSE(future.cancel());
  EXPECT_EQ(future.result(), "first");
}

// A1: it is finished with an exception, once, which every reader gets.
TEST_P(Futures, HasAnExceptionOnce) {
  const auto future = loop().create_future();
  future.set_exception(error());
  EXPECT_TRUE(future.done());
  EXPECT_FALSE(future.cancelled());
  EXPECT_THROW(future.set_result(), InvalidStateError);
  EXPECT_THROW(future.set_exception(error()), InvalidStateError);
  EXPECT_FALSE(future.cancel());
  EXPECT_THROW(future.result(), TestError);
  EXPECT_THROW(future.result(), TestError);
  EXPECT_EQ(kind_of(future.exception()), "test error");
}

// A1: it is cancelled, once, and reading it then throws cancelled.
TEST_P(Futures, IsCancelledOnce) {
  const auto future = loop().create_future();
  EXPECT_TRUE(future.cancel());
  EXPECT_FALSE(future.cancel());
  EXPECT_TRUE(future.done());
  EXPECT_TRUE(future.cancelled());
  EXPECT_THROW(future.result(), CancelledError);
  EXPECT_THROW(future.exception(), CancelledError);
  EXPECT_THROW(future.set_result(), InvalidStateError);
  EXPECT_THROW(future.set_exception(error()), InvalidStateError);
}

// A null exception is refused, and the future stays pending.
TEST_P(Futures, RefusesANullException) {
  const auto future = loop().create_future();
  EXPECT_THROW(future.set_exception(nullptr), std::invalid_argument);
  EXPECT_FALSE(future.done());
}

// A1: done callbacks are scheduled, in order, once each, never called at once.
TEST_P(Futures, SchedulesDoneCallbacksInOrder) {
  const auto future = loop().create_future<int>();
  Journal journal;
  for (const char* name : {"a", "b", "c"}) {
    future.add_done_callback([&journal, name](const Future<int>& done) {
      journal.calls.push_back(name + std::to_string(done.result()));
    });
  }
  loop().call_soon(journal.note("queued before"));
  future.set_result(7);
  loop().call_soon(journal.note("queued after"));
  EXPECT_EQ(journal.calls, Calls());
  iterate(3);
  EXPECT_EQ(journal.calls, calls("queued before", "a7", "b7", "c7", "queued after"));
}

// A1: a callback added to a future that is done is scheduled at once, and not called before.
TEST_P(Futures, SchedulesLateDoneCallbacksAtOnce) {
  const auto future = loop().create_future();
  future.set_result();
  iterate(1);
  Journal journal;
  future.add_done_callback([&](const auto&) { journal.calls.emplace_back("late"); });
  EXPECT_EQ(journal.calls, Calls());
  iterate(1);
  EXPECT_EQ(journal.calls, calls("late"));
}

// A1: a callback added by a done callback runs in a later iteration.
TEST_P(Futures, SchedulesCallbacksAddedByCallbacks) {
  const auto future = loop().create_future();
  Journal journal;
  future.add_done_callback([&](const Future<void>& done) {
    journal.calls.emplace_back("outer");
    done.add_done_callback([&](const auto&) { journal.calls.emplace_back("inner"); });
  });
  future.set_result();
  iterate(1);
  EXPECT_EQ(journal.calls, calls("outer"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("outer", "inner"));
}

// A1: exceptions and cancellations call the callbacks as results do.
TEST_P(Futures, CallsBackForEveryOutcome) {
  Calls outcomes;
  const auto note = [&](const Future<void>& done) { outcomes.push_back(outcome(done)); };
  const auto finished = loop().create_future();
  const auto failed = loop().create_future();
  const auto cancelled = loop().create_future();
  for (const auto& future : {finished, failed, cancelled}) future.add_done_callback(note);
  cancelled.cancel();
  failed.set_exception(error());
  finished.set_result();
  iterate(1);
  EXPECT_EQ(outcomes, calls("cancelled", "test error", "result"));
}

// A1: remove_done_callback() returns how many it removed; a scheduled one cannot be removed.
TEST_P(Futures, RemovesDoneCallbacks) {
  const auto future = loop().create_future();
  Journal journal;
  const auto first =
      future.add_done_callback([&](const auto&) { journal.calls.emplace_back("1"); });
  const auto second =
      future.add_done_callback([&](const auto&) { journal.calls.emplace_back("2"); });
  EXPECT_EQ(future.remove_done_callback(first), 1U);
  EXPECT_EQ(future.remove_done_callback(first), 0U);
  future.set_result();
  EXPECT_EQ(future.remove_done_callback(second), 0U);
  iterate(1);
  EXPECT_EQ(journal.calls, calls("2"));
}

// L20: an exception of a done callback is reported, and the next one is called.
TEST_P(Futures, ReportsWhatDoneCallbacksThrow) {
  const auto future = loop().create_future();
  Journal journal;
  future.add_done_callback([](const auto&) { throw TestError(); });
  future.add_done_callback([&](const auto&) { journal.calls.emplace_back("next"); });
  future.set_result();
  iterate(1);
  EXPECT_EQ(journal.calls, calls("next"));
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
}

// A1: copies name the same result, which keeps living as long as one of them does.
TEST_P(Futures, IsSharedByItsCopies) {
  Future<std::unique_ptr<int>> copy;
  EXPECT_FALSE(copy.valid());
  {
    const auto future = loop().create_future<std::unique_ptr<int>>();
    copy = future;
    EXPECT_EQ(copy, future);
    future.set_result(std::make_unique<int>(5));
  }
  EXPECT_TRUE(copy.valid());
  EXPECT_EQ(*copy.result(), 5);
  const std::unique_ptr<int> taken = std::move(copy.result());
  EXPECT_EQ(*taken, 5);
}

// A1: done callbacks do not need a copy of the future to be kept.
TEST_P(Futures, IsKeptByItsScheduledCallbacks) {
  int seen = 0;
  {
    const auto future = loop().create_future<int>();
    future.add_done_callback([&](const Future<int>& done) { seen = done.result(); });
    future.set_result(9);
  }
  iterate(1);
  EXPECT_EQ(seen, 9);
}

// A2: an exception nobody read is reported when the future goes.
TEST_P(Futures, ReportsAnExceptionThatNobodyRead) {
  {
    const auto future = loop().create_future();
    future.set_exception(error());
    EXPECT_EQ(take_reports(), Calls());
  }
  EXPECT_EQ(take_reports(), calls("Future exception was never retrieved [test error]"));
}

// A2: reading it, by result(), exception() or run_until_complete(), is enough.
TEST_P(Futures, ReportsNoExceptionThatSomebodyRead) {
  const std::vector<std::function<void(const Future<void>&)>> readers = {
      [](const auto& future) { EXPECT_THROW(future.result(), TestError); },
      [](const auto& future) { EXPECT_NE(future.exception(), nullptr); },
      [this](const auto& future) { EXPECT_THROW(loop().run_until_complete(future), TestError); }};
  for (const auto& reader : readers) {
    const auto future = loop().create_future();
    future.set_exception(error());
    reader(future);
  }
  EXPECT_EQ(take_reports(), Calls());
}

// A2: a future that is pending, cancelled or has a result goes in silence.
TEST_P(Futures, ReportsNothingElse) {
  (void)loop().create_future();
  loop().create_future().cancel();
  loop().create_future().set_result();
  EXPECT_EQ(take_reports(), Calls());
}

// A2: without its loop the exception is logged instead.
TEST_P(Futures, LogsAnExceptionThatNobodyReadOnceTheLoopIsGone) {
  Future<void> future = loop().create_future();
  future.set_exception(error());
  loop().set_exception_handler({});
  loop().close();
  destroy_loop();
  future = {};
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 1U);
  EXPECT_TRUE(logs[0].starts_with("error: Future exception was never retrieved")) << logs[0];
}

// L6, A1: done callbacks are dropped with the loop; completing the future later calls nothing.
TEST_P(Futures, OutlivesItsLoop) {
  Journal journal;
  const auto held = std::make_shared<int>(1);
  auto future = loop().create_future<int>();
  future.add_done_callback([held, &journal](const auto&) { journal.calls.emplace_back("called"); });
  loop().close();
  future.set_result(1);
  destroy_loop();
  future.add_done_callback([held, &journal](const auto&) { journal.calls.emplace_back("called"); });
  EXPECT_EQ(future.result(), 1);
  EXPECT_EQ(journal.calls, Calls());
  EXPECT_EQ(held.use_count(), 1);
}

// L6: callbacks that are scheduled when the loop closes are dropped, though they hold the future.
TEST_P(Futures, IsReleasedWithItsLoop) {
  const auto held = std::make_shared<int>(1);
  {
    const auto future = loop().create_future<std::shared_ptr<int>>();
    future.add_done_callback([future](const auto&) {});
    future.set_result(held);
  }
  EXPECT_EQ(held.use_count(), 2);
  loop().close();
  EXPECT_EQ(held.use_count(), 1);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Futures, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
