#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "loop_support.h"
#include "loop_test.h"

// The edges of running and scheduling: extreme times, fatal exceptions outside a run, closed loops.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

class LoopEdges : public EveryLoop {};

// L12, L14: the earliest times there are mean as soon as possible, and overflow nothing.
TEST_P(LoopEdges, TheEarliestTimesAreDueAtOnce) {
  Journal journal;
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  loop().call_later(std::chrono::nanoseconds::min(), journal.note("least"));
  loop().call_later(std::chrono::duration<double>(-infinity), journal.note("infinite"));
  loop().call_at(EventLoop::TimePoint::min() + 1ns, journal.note("first"));
  run_until([&] { return journal.calls.size() == 3; });
}

// L12: a delay that is not a number is refused.
TEST_P(LoopEdges, ADelayThatIsNotANumberIsRefused) {
  constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(loop().call_later(std::chrono::duration<double>(nan), [] {}), std::invalid_argument);
}

// L3: the callback that ends a run_until_complete() does not end the run after it.
TEST_P(LoopEdges, ACompletedFutureDoesNotStopALaterRun) {
  Future<void> future(loop());
  loop().call_soon([&] {
    future.set_result();
    loop().stop();
  });
  loop().run_until_complete(future);
  Journal journal;
  loop().call_soon(journal.note("first", [&] {
    loop().call_soon(journal.note(
        "second", [&] { loop().call_soon(journal.note("third", [&] { loop().stop(); })); }));
  }));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("first", "second", "third"));
}

// L3: a future of another loop would never be done, and is refused.
TEST_P(LoopEdges, AFutureOfAnotherLoopIsRefused) {
  EventLoop other(loop_options(GetParam()));
  EXPECT_THROW(loop().run_until_complete(other.create_future<int>()), std::invalid_argument);
}

// C10: a fatal exception from a callback made outside a run leaves the next run call.
TEST_P(LoopEdges, AFatalExceptionOutsideARunLeavesTheNextRun) {
  loop().set_fatal_exception_predicate([](const std::exception_ptr&) { return true; });
  loop().set_exception_handler([](EventLoop&, const ExceptionContext&) { throw TestError(); });
  loop().call_exception_handler({.message = "something"});
  Journal journal;
  loop().call_soon(journal.note("later"));
  EXPECT_THROW(loop().run_once(), TestError);
  EXPECT_EQ(journal.calls, Calls());
  loop().run_once();
  EXPECT_EQ(journal.calls, calls("later"));
}

// L24: when the default handler throws as well, that is one line of the log.
TEST_P(LoopEdges, ABrokenDefaultHandlerIsLogged) {
  struct Silent : std::exception {
    const char* what() const noexcept override { return "unused"; }
  };
  loop().set_exception_handler([](EventLoop& self, const ExceptionContext& context) {
    // Stands for a default handler that cannot describe what it is given.
    self.default_exception_handler(context);
    throw Silent();
  });
  loop().call_exception_handler({.message = "something"});
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 2U);
  EXPECT_EQ(logs[0], "error: something");
  EXPECT_EQ(logs[1].substr(0, 44), "error: Unhandled error in exception handler\n");
}

// L15, L17: a callback dropped by close() was not prevented by a cancel() that came after.
TEST_P(LoopEdges, CancellingAfterCloseIsTooLate) {
  Handle posted = loop().call_soon_threadsafe([] {});
  Handle queued = loop().call_soon([] {});
  loop().close();
  posted.cancel();
  queued.cancel();
  EXPECT_FALSE(posted.cancelled());
  EXPECT_FALSE(queued.cancelled());
}

/// Notes when it is entered and left.
class NotingContext final : public Context {
 public:
  explicit NotingContext(Journal& journal) : journal_(journal) {}
  void enter() noexcept override { journal_.calls.emplace_back("enter"); }
  void leave() noexcept override { journal_.calls.emplace_back("leave"); }

 private:
  Journal& journal_;
};

// L19: the callback of a future runs in the context in which it was added.
TEST_P(LoopEdges, DoneCallbacksRunInTheirContext) {
  Journal journal;
  Future<void> future(loop());
  loop().call_soon(
      [&] { future.add_done_callback([&](auto) { journal.calls.emplace_back("done"); }); },
      std::make_shared<NotingContext>(journal));
  loop().call_soon([&] { future.set_result(); });
  run_until([&] { return journal.has("done"); });
  EXPECT_EQ(journal.calls, calls("enter", "leave", "enter", "done", "leave"));
}

INSTANTIATE_TEST_SUITE_P(Behaviour, LoopEdges, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
