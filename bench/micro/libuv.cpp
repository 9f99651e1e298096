#include <uv.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "loop_benchmarks.h"

namespace {

// No posts: libuv has none. Nor a flood: uv_async_send carries nothing and merges.
class Libuv {
 public:
  Libuv() {
    uv_loop_init(&loop_);
    wake_.data = this;
    uv_async_init(&loop_, &wake_,
                  [](uv_async_t* wake) { static_cast<Libuv*>(wake->data)->on_wake_(); });
  }
  Libuv(const Libuv&) = delete;
  Libuv& operator=(const Libuv&) = delete;
  ~Libuv() {
    uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }

  void run() {
    uv_update_time(&loop_);
    uv_run(&loop_, UV_RUN_DEFAULT);
  }
  void stop() { uv_stop(&loop_); }

  /// One call at a time may be under way: enough for a round trip.
  template <class F>
  void post_threadsafe(F f) {
    on_wake_ = std::move(f);
    uv_async_send(&wake_);
  }

  void reserve(std::size_t count) { timers_.reserve(count); }
  template <class F>
  void add_timer(bench::Clock::time_point when, F f) {
    auto& timer = timers_.emplace_back();  // never moved: reserve() came first
    timer.call = std::move(f);
    uv_timer_init(&loop_, &timer.handle);
    timer.handle.data = &timer;
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(when - start_);
    const auto milliseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(0, delay.count()));
    uv_timer_start(
        &timer.handle, [](uv_timer_t* due) { static_cast<Timer*>(due->data)->call(); },
        milliseconds, 0);
  }
  void cancel(std::size_t i) { uv_timer_stop(&timers_[i].handle); }
  void settle() {}
  void clear_timers() {
    for (auto& timer : timers_) uv_close(reinterpret_cast<uv_handle_t*>(&timer.handle), nullptr);
    uv_run(&loop_, UV_RUN_NOWAIT);
    timers_.clear();
    uv_update_time(&loop_);
    start_ = bench::Clock::now();
  }

 private:
  struct Timer {
    uv_timer_t handle{};
    std::function<void()> call;
  };

  uv_loop_t loop_{};
  uv_async_t wake_{};
  std::function<void()> on_wake_;
  std::vector<Timer> timers_;
  bench::Clock::time_point start_ = bench::Clock::now();  // of the loop's time
};

BENCH_TIMERS(Libuv);
BENCH_PING_PONG(Libuv);

}  // namespace
