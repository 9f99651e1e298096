#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loop_support.h"
#include "loop_test.h"

// Callbacks and timers: L9-L16, L19.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

class Scheduling : public EveryLoop {
 protected:
  /// True if time stands still while there is something to do.
  bool time_is_virtual() { return EventLoop(loop_options(GetParam())).poll_descriptor() < 0; }

  /// Drives the loop until its time is `when` or later.
  void run_past(EventLoop::TimePoint when) {
    run_until([&] { return loop().time() > when; });
    iterate(1);
  }
};

// L10: call_soon() is first in, first out, and each callback runs once.
TEST_P(Scheduling, RunsCallbacksFirstInFirstOutAndOnce) {
  Calls expected;
  Journal journal;
  for (int i = 0; i < 100; ++i) {
    expected.push_back(std::to_string(i));
    loop().call_soon(journal.note(std::to_string(i)));
  }
  iterate(3);
  EXPECT_EQ(journal.calls, expected);
}

// L11: what is queued while callbacks run, call_later(0) included, runs in a later iteration.
TEST_P(Scheduling, RunsWhatCallbacksQueueInTheNextIteration) {
  Journal journal;
  loop().call_soon(journal.note("a", [&] {
    loop().call_soon(journal.note("soon"));
    loop().call_later(0s, journal.note("zero"));
    loop().call_soon_threadsafe(journal.note("posted"));
  }));
  loop().call_soon(journal.note("b"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("a", "b"));
  run_until([&] { return journal.has("zero"); });
  EXPECT_EQ(journal.calls, calls("a", "b", "soon", "posted", "zero"));
}

// L9, L11: a callback that always queues itself starves neither timers nor connections.
TEST_P(Scheduling, ServesTimersAndConnectionsNextToAnEndlessCallback) {
  Journal journal;
  bool over = false;
  std::function<void()> again = [&] {
    if (!over) loop().call_soon(again);
  };
  loop().call_soon(again);
  // Due at once, for where time is virtual it does not move on.
  loop().call_later(0s, journal.note("timer"));
  run_until([&] { return journal.has("timer"); });

  Recorder server(loop(), ProtocolKind::stream, "server");
  auto listening = create_server(
      loop(), [&] { return std::make_shared<RecordingProtocol>(server); }, "127.0.0.1", 0);
  run_until([&] { return listening.done(); });
  over = time_is_virtual();
  auto connecting = create_connection<Protocol>(loop(), "127.0.0.1",
                                                listening.result().sockets().at(0).sockname.port());
  run_until([&] { return connecting.done() && server.made(); });
  connecting.result().transport.write("hello");
  run_until([&] { return server.received == "hello"; });
  over = true;
  listening.result().close();
  connecting.result().transport.close();
  run_until([&] { return server.lost(); });
}

// L9: in one iteration callbacks run first, then timers that are due.
TEST_P(Scheduling, RunsReadyCallbacksBeforeDueTimers) {
  Journal journal;
  loop().call_later(-1s, journal.note("timer"));
  loop().call_soon(journal.note("soon"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("soon", "timer"));
}

// L12: call_later(d) is call_at(time() + d).
TEST_P(Scheduling, CountsDelaysFromNow) {
  const auto now = loop().time();
  const TimerHandle at = loop().call_at(now + 5s, [] {});
  EXPECT_EQ(at.when(), now + 5s);
  const TimerHandle later = loop().call_later(5s, [] {});
  EXPECT_GE(later.when(), at.when());
}

// L12: zero and negative delays mean as soon as possible, in the order of their deadlines.
TEST_P(Scheduling, RunsNegativeDelaysAtOnce) {
  Journal journal;
  loop().call_later(0s, journal.note("zero"));
  loop().call_later(-1s, journal.note("minus one"));
  loop().call_later(-1h, journal.note("minus an hour"));
  loop().call_later(std::chrono::hours::min(), journal.note("the longest ago"));
  loop().call_at(EventLoop::TimePoint::min(), journal.note("the first time"));
  run_until([&] { return journal.has("zero"); });
  EXPECT_EQ(journal.calls,
            calls("the first time", "the longest ago", "minus an hour", "minus one", "zero"));
}

// L13: timers run in deadline order.
TEST_P(Scheduling, RunsTimersInDeadlineOrder) {
  std::mt19937 random(7);
  std::vector<int> delays(200);
  for (std::size_t i = 0; i < delays.size(); ++i) delays[i] = static_cast<int>(i);
  std::shuffle(delays.begin(), delays.end(), random);
  const auto start = loop().time();
  std::vector<int> ran;
  for (const int delay : delays) {
    loop().call_at(start + delay * 10us, [&ran, delay] { ran.push_back(delay); });
  }
  run_until([&] { return ran.size() == delays.size(); });
  EXPECT_TRUE(std::is_sorted(ran.begin(), ran.end()));
}

// L13: equal deadlines run in the order they were scheduled, also with cancelled ones in between.
TEST_P(Scheduling, KeepsTheOrderOfEqualDeadlines) {
  const auto when = loop().time() + 1ms;
  std::vector<int> ran;
  std::vector<int> expected;
  std::vector<TimerHandle> handles;
  for (int i = 0; i < 1000; ++i) {
    handles.push_back(loop().call_at(when, [&ran, i] { ran.push_back(i); }));
    if (i % 3 != 0) expected.push_back(i);
  }
  for (std::size_t i = 0; i < handles.size(); i += 3) handles[i].cancel();
  run_past(when);
  EXPECT_EQ(ran, expected);
}

// L14: a timer never runs before its deadline.
TEST_P(Scheduling, NeverRunsATimerEarly) {
  int early = 0;
  int ran = 0;
  for (int i = 0; i < 50; ++i) {
    const auto when = loop().time() + i * 37us;
    loop().call_at(when, [&, when] {
      ++ran;
      if (loop().time() < when) ++early;
    });
  }
  run_until([&] { return ran == 50; });
  EXPECT_EQ(early, 0);
}

// L14: very long delays do not overflow: their timers wait behind all others.
TEST_P(Scheduling, TakesDelaysOfAnyLength) {
  Journal journal;
  const TimerHandle hours = loop().call_later(std::chrono::hours::max(), journal.note("hours"));
  loop().call_later(std::chrono::nanoseconds::max(), journal.note("nanoseconds"));
  loop().call_later(std::chrono::duration<double>(1e300), journal.note("seconds"));
  loop().call_later(std::chrono::duration<double>(std::numeric_limits<double>::infinity()),
                    journal.note("infinite"));
  loop().call_at(EventLoop::TimePoint::max(), journal.note("last"));
  EXPECT_GT(hours.when(), loop().time() + 24h);
  loop().call_later(1us, journal.note("soon"));
  run_until([&] { return journal.has("soon"); });
  iterate(3);
  EXPECT_EQ(journal.calls, calls("soon"));
}

// L9: a loop with nothing but a far timer does not spin: it waits, and is woken.
TEST_P(Scheduling, WaitsBehindAFarTimer) {
  Journal journal;
  loop().call_later(24h * 365 * 10, journal.note("far"));
  if (time_is_virtual()) {
    loop().call_later(1h, journal.note("woken", [&] { loop().stop(); }));
    loop().run_forever();
  } else {
    std::jthread waker(
        [&] { loop().call_soon_threadsafe(journal.note("woken", [&] { loop().stop(); })); });
    loop().run_forever();
    waker.join();
  }
  EXPECT_EQ(journal.calls, calls("woken"));
}

// L15: cancel() prevents the callback, may be repeated, and releases the callback at once.
TEST_P(Scheduling, CancelsACallback) {
  const auto held = std::make_shared<int>(1);
  Journal journal;
  Handle soon = loop().call_soon([held, note = journal.note("soon")]() mutable { note(); });
  TimerHandle later =
      loop().call_later(0s, [held, note = journal.note("later")]() mutable { note(); });
  EXPECT_FALSE(soon.cancelled());
  EXPECT_FALSE(later.cancelled());
  soon.cancel();
  later.cancel();
  EXPECT_EQ(held.use_count(), 1);
  soon.cancel();
  later.cancel();
  EXPECT_TRUE(soon.cancelled());
  EXPECT_TRUE(later.cancelled());
  iterate(3);
  EXPECT_EQ(journal.calls, Calls());
}

// L15: cancel() prevents a callback that is queued in the running batch, timers included.
TEST_P(Scheduling, CancelsWhatIsQueuedInTheRunningBatch) {
  Journal journal;
  Handle soon;
  TimerHandle timer;
  loop().call_soon(journal.note("a", [&] { soon.cancel(); }));
  soon = loop().call_soon(journal.note("b"));
  loop().call_later(-2s, journal.note("first timer", [&] { timer.cancel(); }));
  timer = loop().call_later(-1s, journal.note("second timer"));
  loop().call_later(-1s, journal.note("third timer"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("a", "first timer", "third timer"));
  EXPECT_TRUE(soon.cancelled());
  EXPECT_TRUE(timer.cancelled());
}

// L15: after the callback ran, cancel() has no effect; nor does it hit a later callback.
TEST_P(Scheduling, CancelsNothingOnceTheCallbackRan) {
  Journal journal;
  Handle first = loop().call_soon(journal.note("first"));
  iterate(1);
  for (int i = 0; i < 3; ++i) loop().call_soon(journal.note("other"));
  first.cancel();
  EXPECT_FALSE(first.cancelled());
  iterate(1);
  EXPECT_EQ(journal.calls, calls("first", "other", "other", "other"));
}

// L15: a callback may cancel its own handle while it runs.
TEST_P(Scheduling, CancelsNothingFromWithinTheCallback) {
  Journal journal;
  Handle soon;
  TimerHandle timer;
  soon = loop().call_soon(journal.note("soon", [&] { soon.cancel(); }));
  timer = loop().call_later(-1s, journal.note("timer", [&] { timer.cancel(); }));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("soon", "timer"));
  EXPECT_FALSE(soon.cancelled());
  EXPECT_FALSE(timer.cancelled());
}

// L15: what a callback holds may cancel others, and schedule, from its destructor.
TEST_P(Scheduling, SurvivesDestructorsThatUseItWhileCancelling) {
  Journal journal;
  Handle victim = loop().call_soon(journal.note("victim"));
  const auto act = [&](void*) {
    victim.cancel();
    loop().call_soon(journal.note("from the destructor"));
  };
  Handle holder = loop().call_soon([held = std::shared_ptr<void>(nullptr, act)] {});
  holder.cancel();
  iterate(1);
  EXPECT_EQ(journal.calls, calls("from the destructor"));
}

// L15: dropping a handle does not cancel, and a default-constructed one does nothing.
TEST_P(Scheduling, DropsHandlesWithoutCancelling) {
  Journal journal;
  { (void)loop().call_soon(journal.note("a")); }
  Handle none;
  none.cancel();
  EXPECT_FALSE(none.cancelled());
  Handle moved = loop().call_soon(journal.note("b"));
  Handle target = std::move(moved);
  moved.cancel();
  iterate(1);
  EXPECT_EQ(journal.calls, calls("a", "b"));
}

// L15: a handle that outlives the loop is safe to cancel.
TEST_P(Scheduling, KeepsHandlesSafeBeyondTheLoop) {
  Handle soon = loop().call_soon([] {});
  TimerHandle timer = loop().call_later(1s, [] {});
  Handle posted = loop().call_soon_threadsafe([] {});
  loop().close();
  soon.cancel();
  destroy_loop();
  soon.cancel();
  timer.cancel();
  posted.cancel();
}

// L16: a timer handle keeps when() after running and after cancelling.
TEST_P(Scheduling, KeepsWhen) {
  const auto when = loop().time() + 1us;
  const TimerHandle ran = loop().call_at(when, [] {});
  TimerHandle cancelled = loop().call_at(when, [] {});
  cancelled.cancel();
  run_past(when);
  EXPECT_EQ(ran.when(), when);
  EXPECT_EQ(cancelled.when(), when);
}

// L16: memory does not grow with cancelled timers, however far their deadlines are.
TEST_P(Scheduling, ForgetsCancelledTimers) {
  const TimerHandle kept = loop().call_later(1h, [] {});
  const auto cycle = [&](int count) {
    for (int i = 0; i < count; ++i) loop().call_later(2h, [] {}).cancel();
  };
  cycle(10'000);
  const std::size_t before = mallinfo2().uordblks;
  cycle(endurance(1'000'000));
  const std::size_t after = mallinfo2().uordblks;
  EXPECT_LT(after, before + (sanitized ? MiB : 64 * KiB));
  EXPECT_EQ(loop().next_deadline(), kept.when());
}

// L16: hundreds of thousands of timers are scheduled, cancelled and run in order.
TEST_P(Scheduling, KeepsUpWithAMillionTimers) {
  const int count = endurance(1'000'000);
  std::mt19937 random(11);
  std::uniform_int_distribution<std::int64_t> delay(0, 1'000'000);
  const auto start = loop().time();
  std::vector<TimerHandle> handles;
  handles.reserve(static_cast<std::size_t>(count));
  std::int64_t last = -1;
  int ran = 0;
  int out_of_order = 0;
  for (int i = 0; i < count; ++i) {
    const std::int64_t at = delay(random);
    handles.push_back(loop().call_at(start - 1h + at * 1us, [&, at] {
      ++ran;
      if (at < last) ++out_of_order;
      last = at;
    }));
  }
  for (std::size_t i = 0; i < handles.size(); ++i) {
    if (i % 4 != 0) handles[i].cancel();
  }
  iterate(1);
  EXPECT_EQ(ran, count / 4);
  EXPECT_EQ(out_of_order, 0);
}

/// Notes when it is entered and left.
class NotedContext final : public Context {
 public:
  NotedContext(Calls& calls, std::string name) : calls_(calls), name_(std::move(name)) {}
  void enter() noexcept override { calls_.push_back("enter " + name_); }
  void leave() noexcept override { calls_.push_back("leave " + name_); }

 private:
  Calls& calls_;
  std::string name_;
};

// L19: each callback runs in the context it was given, or the one current when it was scheduled.
TEST_P(Scheduling, RunsCallbacksInTheirContext) {
  Journal journal;
  const auto one = std::make_shared<NotedContext>(journal.calls, "one");
  const auto two = std::make_shared<NotedContext>(journal.calls, "two");
  EXPECT_EQ(loop().current_context(), nullptr);
  loop().call_soon(journal.note("outer",
                                [&] {
                                  EXPECT_EQ(loop().current_context(), one);
                                  loop().call_soon(journal.note("inherited"));
                                  loop().call_soon(journal.note("given"), two);
                                  loop().call_soon_threadsafe(journal.note("posted"));
                                }),
                   one);
  loop().call_soon(journal.note("none"));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("enter one", "outer", "leave one", "none",  //
                                 "enter one", "inherited", "leave one",      //
                                 "enter two", "given", "leave two",          //
                                 "enter one", "posted", "leave one"));
  EXPECT_EQ(loop().current_context(), nullptr);
}

// L19: timers and done callbacks of futures run in the context they were scheduled in, too.
TEST_P(Scheduling, RunsTimersAndDoneCallbacksInTheirContext) {
  Journal journal;
  const auto one = std::make_shared<NotedContext>(journal.calls, "one");
  const auto future = loop().create_future();
  loop().call_soon(
      [&] {
        loop().call_later(0s, journal.note("timer"));
        future.add_done_callback([&](const auto&) { journal.calls.emplace_back("future"); });
      },
      one);
  iterate(1);
  journal.calls.clear();
  run_until([&] { return journal.has("timer"); });
  EXPECT_EQ(journal.calls, calls("enter one", "timer", "leave one"));
  journal.calls.clear();
  future.set_result();
  iterate(1);
  EXPECT_EQ(journal.calls, calls("enter one", "future", "leave one"));
}

// L19: a context is left also when the callback throws.
TEST_P(Scheduling, LeavesTheContextOfACallbackThatThrows) {
  Calls noted;
  const auto one = std::make_shared<NotedContext>(noted, "one");
  loop().call_soon([] { throw TestError(); }, one);
  iterate(1);
  EXPECT_EQ(noted, calls("enter one", "leave one"));
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
}

// An empty callback is refused.
TEST_P(Scheduling, RefusesAnEmptyCallback) {
  EXPECT_THROW(loop().call_soon(nullptr), std::invalid_argument);
  EXPECT_THROW(loop().call_later(1s, Callback()), std::invalid_argument);
  EXPECT_THROW(loop().call_at(loop().time(), std::function<void()>()), std::invalid_argument);
  EXPECT_THROW(loop().call_soon_threadsafe(nullptr), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Scheduling, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
