// The same questions to every event loop: what a callback, a timer and a call from another thread
// cost. A subject is a class that wraps a library's loop; weir.cpp, asio.cpp and libuv.cpp each
// have one and say which questions it can answer.
//
//   run()                 runs until stop(); the callbacks call stop()
//   post(f)               runs f soon
//   post_threadsafe(f)    the same, from any thread
//   reserve(n), add_timer(when, f), cancel(i), clear_timers()
//   settle()              runs what cancelling has left to be done
#pragma once

#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

/// Reports nanoseconds for each of the `items` of an iteration.
inline void report_each(benchmark::State& state, std::size_t items) {
  using benchmark::Counter;
  state.counters["each"] =
      Counter(static_cast<double>(items), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// --- Callbacks -----------------------------------------------------------------------------------

constexpr std::size_t burst = 1'000;

/// A batch of callbacks queued, then run.
template <class Subject>
void post_burst(benchmark::State& state) {
  Subject subject;
  std::size_t ran = 0;
  for (auto _ : state) {
    for (std::size_t i = 1; i < burst; ++i) subject.post([&ran] { ++ran; });
    subject.post([&subject] { subject.stop(); });
    subject.run();
  }
  benchmark::DoNotOptimize(ran);
  report_each(state, burst);
}

/// Each callback queues the next: one turn of the loop each.
template <class Subject>
void post_chain(benchmark::State& state) {
  struct Chain {
    Subject subject;
    std::size_t left = 0;
    void step() {
      if (left-- == 0) return subject.stop();
      subject.post([this] { step(); });
    }
  } chain;
  for (auto _ : state) {
    chain.left = burst;
    chain.subject.post([&chain] { chain.step(); });
    chain.subject.run();
  }
  report_each(state, burst);
}

// --- Timers --------------------------------------------------------------------------------------

/// The processor time, in seconds, that this thread has had: without what others on the machine do.
inline double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

enum class TimerPhase { insert, fire, cancel };

/// Deadlines are spread in random order over a window; only `phase` is timed. Before firing all,
/// the window is waited out, so that firing is the loop's work alone.
template <class Subject, TimerPhase phase>
void timers(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto window = std::max(std::chrono::nanoseconds(std::chrono::milliseconds(2)),
                               std::chrono::nanoseconds(50) * state.range(0));
  std::mt19937 random(42);
  std::uniform_int_distribution<std::int64_t> within(0, window.count());
  std::vector<std::chrono::nanoseconds> delays(count);
  for (auto& delay : delays) delay = std::chrono::nanoseconds(within(random));
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);

  Subject subject;
  subject.reserve(count);
  std::size_t fired = 0;

  const auto round = [&] {
    const auto begin = Clock::now();
    const auto begin_insert = cpu_seconds();
    for (const auto delay : delays) {
      subject.add_timer(begin + delay, [&] {
        if (++fired == count) subject.stop();
      });
    }
    auto taken = cpu_seconds() - begin_insert;

    if constexpr (phase == TimerPhase::fire) {
      while (Clock::now() <= begin + window + std::chrono::milliseconds(2)) continue;
      fired = 0;
      const auto begin_fire = cpu_seconds();
      subject.run();
      taken = cpu_seconds() - begin_fire;
    } else {
      const auto begin_cancel = cpu_seconds();
      for (const auto i : order) subject.cancel(i);
      subject.settle();
      if constexpr (phase == TimerPhase::cancel) taken = cpu_seconds() - begin_cancel;
    }
    subject.clear_timers();
    return taken;
  };

  round();
  for (auto _ : state) state.SetIterationTime(round());
  report_each(state, count);
}

// --- Threads -------------------------------------------------------------------------------------

constexpr std::size_t flood_size = 100'000;
constexpr int round_trips = 1'000;

/// Keeps the calling thread on one processor: whether two threads share one decides most of what a
/// call between them costs. (If there is no such processor they do share.)
inline void stay_on(std::size_t processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  ::pthread_setaffinity_np(::pthread_self(), sizeof only, &only);
}

/// One thread posts as fast as it can, the loop's thread runs what comes.
template <class Subject>
void threadsafe_flood(benchmark::State& state) {
  stay_on(1);
  Subject subject;
  std::size_t ran = 0;
  for (auto _ : state) {
    std::thread runner([&subject] {
      stay_on(0);
      subject.run();
    });
    for (std::size_t i = 1; i < flood_size; ++i) subject.post_threadsafe([&ran] { ++ran; });
    subject.post_threadsafe([&subject] { subject.stop(); });
    runner.join();
  }
  benchmark::DoNotOptimize(ran);
  report_each(state, flood_size);
}

/// A call goes to and fro between two loops, each of which sleeps meanwhile. One is a round trip.
template <class Subject>
void threadsafe_ping_pong(benchmark::State& state) {
  struct Game {
    Subject here, there;
    int left = 0;
    void ping() {
      if (left-- > 0) return there.post_threadsafe([this] { pong(); });
      there.post_threadsafe([this] { there.stop(); });
      here.stop();
    }
    void pong() {
      here.post_threadsafe([this] { ping(); });
    }
  } game;
  stay_on(1);
  for (auto _ : state) {
    game.left = round_trips;
    std::thread other([&game] {
      stay_on(0);
      game.there.run();
    });
    game.here.post_threadsafe([&game] { game.ping(); });
    game.here.run();
    other.join();
  }
  report_each(state, round_trips);
}

}  // namespace bench

// Registers the questions under the names that run.py knows: <question>/<subject>.

#define BENCH_POSTS(Subject)                                            \
  BENCHMARK(bench::post_burst<Subject>)->Name("post, burst/" #Subject); \
  BENCHMARK(bench::post_chain<Subject>)->Name("post, one a turn/" #Subject)

#define BENCH_TIMERS(Subject)         \
  BENCH_TIMER_PHASE(Subject, insert); \
  BENCH_TIMER_PHASE(Subject, fire);   \
  BENCH_TIMER_PHASE(Subject, cancel)

#define BENCH_TIMER_PHASE(Subject, phase)                     \
  BENCHMARK(bench::timers<Subject, bench::TimerPhase::phase>) \
      ->Name("timer, " #phase "/" #Subject)                   \
      ->Arg(1'000)                                            \
      ->UseManualTime()                                       \
      ->Iterations(200);                                      \
  BENCHMARK(bench::timers<Subject, bench::TimerPhase::phase>) \
      ->Name("timer, " #phase "/" #Subject)                   \
      ->Arg(1'000'000)                                        \
      ->UseManualTime()                                       \
      ->Iterations(1)

#define BENCH_FLOOD(Subject)                      \
  BENCHMARK(bench::threadsafe_flood<Subject>)     \
      ->Name("thread-safe post, flood/" #Subject) \
      ->UseRealTime()

#define BENCH_PING_PONG(Subject)                       \
  BENCHMARK(bench::threadsafe_ping_pong<Subject>)      \
      ->Name("thread-safe post, round trip/" #Subject) \
      ->UseRealTime()
