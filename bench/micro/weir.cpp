#include <weir/weir.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "loop_benchmarks.h"

namespace {

class Weir {
 public:
  void run() { loop_.run_forever(); }
  void stop() { loop_.stop(); }

  template <class F>
  void post(F f) {
    loop_.call_soon(std::move(f));
  }
  template <class F>
  void post_threadsafe(F f) {
    loop_.call_soon_threadsafe(std::move(f));
  }

  void reserve(std::size_t count) { timers_.reserve(count); }
  template <class F>
  void add_timer(bench::Clock::time_point when, F f) {
    timers_.push_back(loop_.call_at(when, std::move(f)));
  }
  void cancel(std::size_t i) { timers_[i].cancel(); }
  void settle() { loop_.run_once(); }
  void clear_timers() { timers_.clear(); }

 private:
  weir::EventLoop loop_;
  std::vector<weir::TimerHandle> timers_;
};

BENCH_POSTS(Weir);
BENCH_TIMERS(Weir);
BENCH_FLOOD(Weir);
BENCH_PING_PONG(Weir);

}  // namespace
