#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loop_support.h"
#include "loop_test.h"

// Posting to a loop from other threads: L17.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

class Posting : public EveryLoop {};

/// Starts `count` threads, each of which does `work(its number)`.
std::vector<std::jthread> start_threads(int count, const std::function<void(int)>& work) {
  std::vector<std::jthread> started;
  for (int i = 0; i < count; ++i) started.emplace_back(work, i);
  return started;
}

void join(std::vector<std::jthread>& started) {
  for (std::jthread& each : started) each.join();
}

// L17: call_soon_threadsafe() wakes a loop that waits without a limit.
TEST_P(Posting, WakesAWaitingLoop) {
  std::thread::id ran_on;
  loop().call_soon([] {});
  iterate(1);
  std::jthread poster([&] {
    loop().call_soon_threadsafe([&] {
      ran_on = std::this_thread::get_id();
      loop().stop();
    });
  });
  loop().run_forever();
  poster.join();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

// L17: each thread's posts run in its order, and none is lost, however many are merged.
TEST_P(Posting, KeepsEachThreadsOrderAndLosesNothing) {
  constexpr int thread_count = 4;
  const int posts = endurance(20'000);
  std::vector<std::vector<int>> ran(thread_count);
  int total = 0;
  auto posters = start_threads(thread_count, [&](int number) {
    for (int i = 0; i < posts; ++i) {
      loop().call_soon_threadsafe([&, number, i] {
        ran[static_cast<std::size_t>(number)].push_back(i);
        if (++total == thread_count * posts) loop().stop();
      });
      if (i % 1000 == 0) std::this_thread::yield();
    }
  });
  loop().run_forever();
  join(posters);
  for (const auto& of_thread : ran) {
    EXPECT_EQ(of_thread.size(), static_cast<std::size_t>(posts));
    EXPECT_TRUE(std::is_sorted(of_thread.begin(), of_thread.end()));
  }
}

// L17: one post after the other, each to a loop that went to wait, is seen.
TEST_P(Posting, LosesNoWakeUp) {
  const int rounds = endurance(5'000);
  std::atomic<int> seen = 0;
  std::jthread poster([&] {
    for (int i = 0; i < rounds; ++i) {
      loop().call_soon_threadsafe([&] { ++seen; });
      while (seen.load() <= i) std::this_thread::yield();
    }
    loop().call_soon_threadsafe([&] { loop().stop(); });
  });
  loop().run_forever();
  poster.join();
  EXPECT_EQ(seen.load(), rounds);
}

// L17, L10: posts of the loop's own thread stay in order with call_soon().
TEST_P(Posting, KeepsTheOrderWithCallSoonOnTheLoopsThread) {
  Journal journal;
  loop().call_soon([&] {
    loop().call_soon(journal.note("a"));
    loop().call_soon_threadsafe(journal.note("b"));
    loop().call_soon(journal.note("c"));
  });
  iterate(2);
  EXPECT_EQ(journal.calls, calls("a", "b", "c"));
}

// L17, L15: cancelling on the loop's thread prevents a post, in the running batch as well.
TEST_P(Posting, CancelsOnTheLoopsThread) {
  Journal journal;
  Handle outside = loop().call_soon_threadsafe(journal.note("outside"));
  outside.cancel();
  EXPECT_TRUE(outside.cancelled());
  Handle inside;
  loop().call_soon([&] { inside.cancel(); });
  inside = loop().call_soon_threadsafe(journal.note("inside"));
  Handle done = loop().call_soon_threadsafe(journal.note("done"));
  run_until([&] { return journal.has("done"); });
  done.cancel();
  EXPECT_FALSE(done.cancelled());
  EXPECT_TRUE(inside.cancelled());
  EXPECT_EQ(journal.calls, calls("done"));
}

// L17: cancelling from another thread: either the callback has started, or it never will.
TEST_P(Posting, CancelsFromAnotherThread) {
  const int rounds = endurance(20'000);
  std::vector<char> ran(static_cast<std::size_t>(rounds), 0);
  std::vector<char> cancelled(static_cast<std::size_t>(rounds), 0);
  std::jthread canceller([&] {
    for (std::size_t i = 0; i < ran.size(); ++i) {
      Handle handle = loop().call_soon_threadsafe([&, i] { ran[i] = 1; });
      if (i % 3 == 0) std::this_thread::yield();
      handle.cancel();
      cancelled[i] = handle.cancelled() ? 1 : 0;
    }
    loop().call_soon_threadsafe([&] { loop().stop(); });
  });
  loop().run_forever();
  canceller.join();
  int both_or_neither = 0;
  for (std::size_t i = 0; i < ran.size(); ++i) both_or_neither += ran[i] == cancelled[i] ? 1 : 0;
  EXPECT_EQ(both_or_neither, 0);
}

// L17: a callback cancelled from another thread is destroyed on the loop's thread.
TEST_P(Posting, ReleasesACancelledCallbackOnTheLoopsThread) {
  std::atomic<std::thread::id> released_on;
  auto held =
      std::shared_ptr<void>(nullptr, [&](void*) { released_on.store(std::this_thread::get_id()); });
  std::jthread canceller([&, held = std::move(held)]() mutable {
    Handle handle = loop().call_soon_threadsafe([held = std::move(held)] {});
    handle.cancel();
  });
  canceller.join();
  iterate(1);
  EXPECT_EQ(released_on.load(), std::this_thread::get_id());
}

// L17: posting to a closed loop is a wrong-state error to the poster.
TEST_P(Posting, RefusesPostsOnceClosed) {
  loop().close();
  std::string error;
  std::thread([&] {
    try {
      loop().call_soon_threadsafe([] {});
    } catch (const WrongStateError& wrong) {
      error = wrong.what();
    }
  }).join();
  EXPECT_EQ(error, "Event loop is closed");
}

// L17: posting while the loop closes either works or throws; nothing is leaked or runs later.
TEST_P(Posting, MayRaceWithClosing) {
  for (int round = 0; round < 50; ++round) {
    auto other = std::make_unique<EventLoop>(loop_options(GetParam()));
    other->set_debug(false);
    std::atomic<bool> started = false;
    const auto held = std::make_shared<int>(1);
    std::jthread poster([&] {
      started = true;
      try {
        for (int posted = 0;; ++posted) {
          other->call_soon_threadsafe([held] { ADD_FAILURE() << "ran"; });
          // The closing thread may get no core for long: what is posted meanwhile must stay little.
          if (posted > 10'000) std::this_thread::sleep_for(100us);
        }
      } catch (const WrongStateError&) {
      }
    });
    while (!started) std::this_thread::yield();
    other->close();
    poster.join();
    EXPECT_EQ(held.use_count(), 1);
  }
}

// L17: posts made before the loop runs wait for it.
TEST_P(Posting, KeepsPostsUntilTheLoopRuns) {
  Journal journal;
  std::thread([&] { loop().call_soon_threadsafe(journal.note("early")); }).join();
  EXPECT_EQ(journal.calls, Calls());
  iterate(1);
  EXPECT_EQ(journal.calls, calls("early"));
}

// L19: a post from another thread runs in the context it was given, or in none.
TEST_P(Posting, RunsInTheGivenContext) {
  class Plain final : public Context {
   public:
    void enter() noexcept override {}
    void leave() noexcept override {}
  };
  const auto given = std::make_shared<Plain>();
  std::vector<std::shared_ptr<Context>> seen;
  std::thread([&] {
    loop().call_soon_threadsafe([&] { seen.push_back(loop().current_context()); }, given);
    loop().call_soon_threadsafe([&] { seen.push_back(loop().current_context()); });
  }).join();
  iterate(1);
  EXPECT_EQ(seen, (std::vector<std::shared_ptr<Context>>{given, nullptr}));
}

// C7: a transport's handle may be carried to the loop from another thread.
TEST_P(Posting, CarriesATransportToTheLoop) {
  Recorder server(loop(), ProtocolKind::stream, "server");
  const Server listener = run_until_done(create_server(
      loop(), [&] { return std::make_shared<RecordingProtocol>(server); }, "127.0.0.1", 0));
  const Transport transport =
      run_until_done(create_connection<Protocol>(loop(), "127.0.0.1",
                                                 listener.sockets().at(0).sockname.port()))
          .transport;
  std::thread([this, transport] {
    loop().call_soon_threadsafe([transport] { transport.write("from afar"); });
    loop().call_soon_threadsafe([transport] { transport.close(); });
  }).join();
  run_until([&] { return server.lost(); });
  listener.close();
  EXPECT_EQ(server.calls,
            calls("connection_made", "data_received:from afar", "eof_received", "connection_lost"));
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Posting, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
