#include <poll.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "loop_support.h"
#include "loop_test.h"

// Running and stopping a loop, and running it inside another one: L1-L8.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

class RunningLoop : public EveryLoop {};

// L1: is_running() is true only inside a run call, is_closed() only after close().
TEST_P(RunningLoop, IsIdleThenRunningThenIdleThenClosed) {
  EXPECT_FALSE(loop().is_running());
  EXPECT_FALSE(loop().is_closed());
  bool running = false;
  bool closed = true;
  loop().call_soon([&] {
    running = loop().is_running();
    closed = loop().is_closed();
  });
  iterate(1);
  EXPECT_TRUE(running);
  EXPECT_FALSE(closed);
  EXPECT_FALSE(loop().is_running());
  loop().close();
  EXPECT_FALSE(loop().is_running());
  EXPECT_TRUE(loop().is_closed());
}

// L2: run_forever() runs iterations until stop().
TEST_P(RunningLoop, RunsUntilStopped) {
  Journal journal;
  int rounds = 0;
  std::function<void()> again = [&] {
    if (++rounds == 3) return loop().stop();
    loop().call_soon(journal.note(std::to_string(rounds), again));
  };
  loop().call_soon(journal.note("first", again));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("first", "1", "2"));
}

// L2: running a loop that is running is a wrong-state error, whichever run call it is.
TEST_P(RunningLoop, RefusesToRunTwice) {
  Calls errors;
  const auto refused = [&](const std::function<void()>& run) {
    try {
      run();
      errors.emplace_back("nothing");
    } catch (const std::exception&) {
      errors.push_back(kind_of(std::current_exception()));
    }
  };
  loop().call_soon([&] {
    refused([&] { loop().run_forever(); });
    refused([&] { loop().run_once(); });
    refused([&] { loop().run_until_complete(loop().create_future()); });
    EXPECT_TRUE(loop().is_running());
  });
  iterate(1);
  EXPECT_EQ(errors, calls("WrongStateError", "WrongStateError", "WrongStateError"));
  EXPECT_FALSE(loop().is_running());
}

// L2: a loop does not run while another runs on the same thread; on another thread it does.
TEST_P(RunningLoop, RefusesToRunInsideAnotherLoop) {
  EventLoop other(loop_options(GetParam()));
  other.set_debug(false);
  std::string error;
  bool ran = false;
  loop().call_soon([&] {
    try {
      other.run_once();
    } catch (const WrongStateError&) {
      error = "WrongStateError";
    }
    std::thread([&] {
      other.call_soon([&] { ran = true; });
      other.run_once();
    }).join();
  });
  iterate(1);
  EXPECT_EQ(error, "WrongStateError");
  EXPECT_TRUE(ran);
  EXPECT_FALSE(other.is_running());
  other.close();
}

// L2, L7: a closed loop does not run.
TEST_P(RunningLoop, RefusesToRunWhenClosed) {
  const Future<void> future = loop().create_future();
  loop().close();
  EXPECT_THROW(loop().run_forever(), WrongStateError);
  EXPECT_THROW(loop().run_once(), WrongStateError);
  EXPECT_THROW(loop().run_until_complete(future), WrongStateError);
}

// L3: run_until_complete() returns the result of the future.
TEST_P(RunningLoop, ReturnsTheResult) {
  const auto future = loop().create_future<std::string>();
  loop().call_soon([&] { future.set_result("done"); });
  EXPECT_EQ(loop().run_until_complete(future), "done");
}

// L3: run_until_complete() returns a result that can be moved only.
TEST_P(RunningLoop, ReturnsAResultThatCannotBeCopied) {
  const auto future = loop().create_future<std::unique_ptr<int>>();
  future.set_result(std::make_unique<int>(7));
  EXPECT_EQ(*loop().run_until_complete(future), 7);
}

// L3: run_until_complete() throws the exception of the future, and its cancellation.
TEST_P(RunningLoop, ThrowsWhatTheFutureHolds) {
  const auto failing = loop().create_future();
  loop().call_soon([&] { failing.set_exception(std::make_exception_ptr(TestError())); });
  EXPECT_THROW(loop().run_until_complete(failing), TestError);
  const auto cancelled = loop().create_future();
  loop().call_soon([&] { cancelled.cancel(); });
  EXPECT_THROW(loop().run_until_complete(cancelled), CancelledError);
}

// L3: a loop that stops first says so; the future can be waited for again.
TEST_P(RunningLoop, SaysThatItStoppedBeforeTheFutureCompleted) {
  const auto future = loop().create_future();
  loop().call_soon([&] { loop().stop(); });
  try {
    loop().run_until_complete(future);
    ADD_FAILURE() << "nothing thrown";
  } catch (const WrongStateError& error) {
    EXPECT_STREQ(error.what(), "Event loop stopped before Future completed.");
  }
  loop().call_soon([&] { future.set_result(); });
  loop().run_until_complete(future);
}

// L3: the stop callback is removed again: completing the future later stops no other run.
TEST_P(RunningLoop, LeavesNoStopCallbackBehind) {
  const auto future = loop().create_future();
  loop().call_soon([&] { loop().stop(); });
  EXPECT_THROW(loop().run_until_complete(future), WrongStateError);
  Journal journal;
  loop().call_soon([&] {
    future.set_result();
    loop().call_soon(journal.note("one", [&] {
      loop().call_soon(journal.note(
          "two", [&] { loop().call_soon(journal.note("three", [&] { loop().stop(); })); }));
    }));
  });
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("one", "two", "three"));
}

// L3: nor does it stop a later run when stop() came in the iteration that completed the future.
TEST_P(RunningLoop, LeavesNoStopCallbackQueued) {
  const auto future = loop().create_future();
  loop().call_soon([&] {
    future.set_result();
    loop().stop();
  });
  loop().run_until_complete(future);
  Journal journal;
  loop().call_soon(journal.note("one", [&] {
    loop().call_soon(journal.note(
        "two", [&] { loop().call_soon(journal.note("three", [&] { loop().stop(); })); }));
  }));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("one", "two", "three"));
}

// L3: a future that names nothing is a bug of the caller.
TEST_P(RunningLoop, RefusesAFutureThatNamesNothing) {
  EXPECT_THROW(loop().run_until_complete(Future<void>()), std::invalid_argument);
}

// L4: stop() lets the iteration finish; what its callbacks queued stays for a later run.
TEST_P(RunningLoop, FinishesTheIterationWhenStopped) {
  Journal journal;
  loop().call_soon(journal.note("a", [&] {
    loop().stop();
    loop().call_soon(journal.note("queued by a"));
  }));
  loop().call_soon(journal.note("b"));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("a", "b"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("a", "b", "queued by a"));
}

// L4: stop() before a run makes that run one iteration, which does not wait.
TEST_P(RunningLoop, DoesOneIterationWhenStoppedBefore) {
  Journal journal;
  loop().stop();
  loop().run_forever();  // with nothing to do it would wait for ever
  loop().stop();
  loop().call_soon(
      journal.note("a", [&] { loop().call_soon(journal.note("b", [&] { loop().stop(); })); }));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("a"));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("a", "b"));
}

// L5: stop() on an idle or closed loop is not an error.
TEST_P(RunningLoop, MayBeStoppedAnyTime) {
  loop().stop();
  loop().stop();
  loop().close();
  loop().stop();
}

// L6: close() while running is a wrong-state error, and changes nothing.
TEST_P(RunningLoop, RefusesToCloseWhileRunning) {
  Journal journal;
  loop().call_soon([&] { EXPECT_THROW(loop().close(), WrongStateError); });
  loop().call_soon(journal.note("next"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("next"));
  EXPECT_FALSE(loop().is_closed());
}

// L6: close() drops callbacks and timers without running them, and releases what they hold.
TEST_P(RunningLoop, DropsWhatIsScheduledWhenClosed) {
  Journal journal;
  const auto held = std::make_shared<int>(1);
  loop().call_soon([held, note = journal.note("soon")]() mutable { note(); });
  loop().call_later(1h, [held, note = journal.note("later")]() mutable { note(); });
  loop().call_soon_threadsafe([held, note = journal.note("posted")]() mutable { note(); });
  EXPECT_EQ(held.use_count(), 4);
  loop().close();
  loop().close();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(journal.calls, Calls());
}

// L6: what close() releases may come back to the loop from its destructor.
TEST_P(RunningLoop, SurvivesDestructorsThatUseItWhileClosing) {
  struct Returning {
    EventLoop& loop;
    int& returned;
    ~Returning() {
      ++returned;
      EXPECT_THROW(loop.call_soon([] {}), WrongStateError);
      EXPECT_THROW(loop.call_later(1s, [] {}), WrongStateError);
      EXPECT_THROW(loop.call_soon_threadsafe([] {}), WrongStateError);
      loop.stop();
      loop.close();
      EXPECT_FALSE(loop.remove_reader(0));
    }
  };
  int returned = 0;
  const auto holding = [&] { return std::make_shared<Returning>(loop(), returned); };
  loop().call_soon([held = holding()] {});
  loop().call_later(1h, [held = holding()] {});
  loop().call_soon_threadsafe([held = holding()] {});
  loop().close();
  EXPECT_EQ(returned, 3);
}

// L6: close() releases the poller and wake-up descriptors.
TEST_P(RunningLoop, ReleasesItsDescriptorsWhenClosed) {
  const std::size_t before = open_descriptors();
  EventLoop other(loop_options(GetParam()));
  const bool has_some = open_descriptors() > before;
  EXPECT_EQ(has_some, other.poll_descriptor() >= 0);
  other.close();
  EXPECT_EQ(open_descriptors(), before);
}

// L7: on a closed loop, everything that schedules is a wrong-state error.
TEST_P(RunningLoop, SchedulesNothingWhenClosed) {
  loop().close();
  EXPECT_THROW(loop().call_soon([] {}), WrongStateError);
  EXPECT_THROW(loop().call_later(1s, [] {}), WrongStateError);
  EXPECT_THROW(loop().call_at(loop().time(), [] {}), WrongStateError);
  EXPECT_THROW(loop().call_soon_threadsafe([] {}), WrongStateError);
  EXPECT_THROW(loop().add_reader(0, [] {}), WrongStateError);
  EXPECT_THROW(loop().add_writer(0, [] {}), WrongStateError);
  EXPECT_FALSE(loop().remove_reader(0));
  EXPECT_FALSE(loop().remove_writer(0));
  EXPECT_EQ(loop().poll_descriptor(), -1);
  EXPECT_EQ(loop().next_deadline(), std::nullopt);
}

// L7, C4: on a closed loop, openers fail their futures.
TEST_P(RunningLoop, OpensNothingWhenClosed) {
  loop().close();
  EXPECT_EQ(outcome(create_connection<Protocol>(loop(), "127.0.0.1", 1)), "WrongStateError");
  EXPECT_EQ(outcome(create_server<Protocol>(loop(), "127.0.0.1", 0)), "WrongStateError");
  EXPECT_EQ(outcome(getaddrinfo(loop(), "127.0.0.1", "1")), "WrongStateError");
}

// L8: destroying an open loop closes it, with a warning.
TEST_P(RunningLoop, WarnsWhenDestroyedOpen) {
  Journal journal;
  {
    EventLoop other(loop_options(GetParam()));
    other.set_debug(true);
    other.call_soon(journal.note("never"));
  }
  EXPECT_EQ(journal.calls, Calls());
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 1U);
  EXPECT_TRUE(logs[0].starts_with("warning: unclosed event loop")) << logs[0];
  {
    EventLoop closed(loop_options(GetParam()));
    closed.close();
  }
  EXPECT_EQ(take_logs(), Calls());
}

// L9: run_once() is one iteration, and tells how much it did.
TEST_P(RunningLoop, RunsOneIteration) {
  Journal journal;
  EXPECT_EQ(loop().run_once(), 0U);
  loop().call_soon(journal.note("a", [&] { loop().call_soon(journal.note("c")); }));
  loop().call_soon(journal.note("b"));
  EXPECT_EQ(loop().run_once(), 2U);
  EXPECT_EQ(journal.calls, calls("a", "b"));
  EXPECT_EQ(loop().run_once(), 1U);
  EXPECT_EQ(journal.calls, calls("a", "b", "c"));
  EXPECT_EQ(loop().run_once(), 0U);
}

// L9: run_once() waits no longer than it is told, and not at all past the next timer.
TEST_P(RunningLoop, WaitsInRunOnceUntilTheNextTimer) {
  Journal journal;
  loop().call_later(1ms, journal.note("timer"));
  while (!journal.has("timer")) EXPECT_LE(loop().run_once(1h), 1U);
  EXPECT_EQ(loop().run_once(1ms), 0U);
  EXPECT_EQ(loop().run_once(-1ms), 0U);
  EXPECT_EQ(journal.calls, calls("timer"));
}

// L4: stop() inside run_once() does not shorten the next run.
TEST_P(RunningLoop, ForgetsAStopWhenRunOnceReturns) {
  Journal journal;
  loop().call_soon([&] { loop().stop(); });
  iterate(1);
  loop().call_soon(
      journal.note("a", [&] { loop().call_soon(journal.note("b", [&] { loop().stop(); })); }));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("a", "b"));
}

// next_deadline() tells a host's loop when run_once() is due.
TEST_P(RunningLoop, TellsWhenItIsDue) {
  EXPECT_EQ(loop().next_deadline(), std::nullopt);
  TimerHandle timer = loop().call_later(1h, [] {});
  EXPECT_EQ(loop().next_deadline(), timer.when());
  const TimerHandle earlier = loop().call_later(30min, [] {});
  EXPECT_EQ(loop().next_deadline(), earlier.when());
  loop().call_soon([] {});
  const auto at_once = loop().next_deadline();
  ASSERT_TRUE(at_once.has_value());
  EXPECT_LE(*at_once, loop().time());
  iterate(1);
  EXPECT_EQ(loop().next_deadline(), earlier.when());
}

// L18: time() does not go back, and call_later() counts from it.
TEST_P(RunningLoop, TellsASteadyTime) {
  const auto before = loop().time();
  const TimerHandle timer = loop().call_later(1s, [] {});
  const auto after = loop().time();
  EXPECT_LE(before, after);
  EXPECT_GE(timer.when(), before + 1s);
  EXPECT_LE(timer.when(), after + 1s);
  loop().call_soon([] {});
  iterate(1);
  EXPECT_GE(loop().time(), after);
}

// Many loops live one after the other, and next to each other on their own threads.
TEST_P(RunningLoop, LivesNextToOthers) {
  const auto run = [kind = GetParam()] {
    for (int i = 0; i < 20; ++i) {
      EventLoop own(loop_options(kind));
      Future<int> future = own.create_future<int>();
      own.call_later(1us, [&] { future.set_result(i); });
      EXPECT_EQ(own.run_until_complete(future), i);
      own.close();
    }
  };
  std::thread one(run);
  std::thread two(run);
  run();
  one.join();
  two.join();
}

INSTANTIATE_TEST_SUITE_P(Behaviour, RunningLoop, ::testing::ValuesIn(backends()), backend_name);

/// The loops that a host's loop can watch.
class HostedLoop : public EveryLoop {};

/// A host's loop: polls the descriptor of `loop` until its next deadline, then runs it once.
void host_turn(EventLoop& loop) {
  pollfd watched{.fd = loop.poll_descriptor(), .events = POLLIN, .revents = 0};
  int timeout = -1;
  if (const auto deadline = loop.next_deadline()) {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop.time());
    timeout = static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, 10000));
  }
  ASSERT_GE(::poll(&watched, 1, timeout), 0);
  loop.run_once();
}

/// A host's turn that only the descriptor can be the reason for.
void told_turn(EventLoop& loop) {
  ASSERT_EQ(loop.next_deadline(), std::nullopt);
  pollfd watched{.fd = loop.poll_descriptor(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&watched, 1, 20'000), 1) << "the host is not told";
  loop.run_once();
}

// A host is told by the descriptor of all that comes from elsewhere, each time and whichever thread runs the
// loop: a loop that has not run yet as well.
TEST_P(HostedLoop, IsToldEachTime) {
  Journal journal;
  const int descriptor = loop().poll_descriptor();
  const auto post = [&] {
    journal.calls.clear();
    std::thread([&] { loop().call_soon_threadsafe(journal.note("posted")); }).join();
    while (!journal.has("posted")) ASSERT_NO_FATAL_FAILURE(told_turn(loop()));
    EXPECT_EQ(loop().poll_descriptor(), descriptor);
  };
  post();
  post();
  std::thread(post).join();
  post();
}

// run_once(), poll_descriptor() and next_deadline() are enough to run inside a host's loop: timers,
// connections and posts from other threads all arrive.
TEST_P(HostedLoop, ServesEverythingThatItServesAlone) {
  Journal journal;
  loop().call_later(2ms, journal.note("timer"));
  while (!journal.has("timer")) host_turn(loop());

  std::jthread poster([&] { loop().call_soon_threadsafe(journal.note("posted")); });
  while (!journal.has("posted")) host_turn(loop());
  poster.join();

  Recorder server(loop(), ProtocolKind::stream, "server");
  Recorder client(loop(), ProtocolKind::stream, "client");
  auto listening = create_server(
      loop(), [&] { return std::make_shared<RecordingProtocol>(server); }, "127.0.0.1", 0);
  while (!listening.done()) host_turn(loop());
  const Server listener = listening.result();
  auto connecting = create_connection(
      loop(), [&] { return std::make_shared<RecordingProtocol>(client); }, "127.0.0.1",
      listener.sockets().at(0).sockname.port());
  while (!connecting.done()) host_turn(loop());
  client.transport.write("hello");
  while (server.received != "hello") host_turn(loop());
  client.transport.close();
  while (!server.lost()) host_turn(loop());
  EXPECT_EQ(server.calls,
            calls("connection_made", "data_received:hello", "eof_received", "connection_lost"));
}

INSTANTIATE_TEST_SUITE_P(Behaviour, HostedLoop,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
