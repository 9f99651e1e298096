#include <asio.hpp>

#include <cstddef>
#include <utility>
#include <vector>

#include "loop_benchmarks.h"

namespace {

class Asio {
 public:
  void run() {
    context_.restart();
    context_.run();
  }
  void stop() { context_.stop(); }

  template <class F>
  void post(F f) {
    asio::post(context_, std::move(f));
  }
  template <class F>
  void post_threadsafe(F f) {
    asio::post(context_, std::move(f));
  }

  void reserve(std::size_t count) { timers_.reserve(count); }
  template <class F>
  void add_timer(bench::Clock::time_point when, F f) {
    timers_.emplace_back(context_, when).async_wait([f = std::move(f)](auto error) mutable {
      if (!error) f();
    });
  }
  void cancel(std::size_t i) { timers_[i].cancel(); }
  void settle() {
    context_.restart();
    context_.poll();
  }
  void clear_timers() { timers_.clear(); }

 private:
  using Executor = asio::io_context::executor_type;
  using Timer = asio::basic_waitable_timer<bench::Clock, asio::wait_traits<bench::Clock>, Executor>;

  asio::io_context context_;
  Timer reactor_{context_};  // without it there would be none: no program with a socket runs so
  asio::executor_work_guard<Executor> stay_{context_.get_executor()};
  std::vector<Timer> timers_;
};

BENCH_POSTS(Asio);
BENCH_TIMERS(Asio);
BENCH_FLOOD(Asio);
BENCH_PING_PONG(Asio);

}  // namespace
