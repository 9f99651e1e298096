#pragma once

#include <weir/callback.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

namespace detail {
class ThreadPool;
struct ExecutorAccess;
}  // namespace detail

struct ExecutorShutdownOptions {
  /// Wait until the work that runs, and what is queued, is done.
  bool wait = true;
  /// Drop the work that has not begun: its futures are cancelled.
  bool cancel_futures = false;
};

/// Threads for what would block the loop; concurrent.futures' executor. See run_in_executor().
///
/// The threads are made on demand and take no signals. Work begins in the order it came.
///
/// Threads: any. A forked child must not use its parent's: it has no threads there. [O6]
class WEIR_API ThreadPoolExecutor {
 public:
  /// At most `max_workers` threads; 0: four more than this machine has cores, but no more than 32.
  explicit ThreadPoolExecutor(std::size_t max_workers = 0);
  ThreadPoolExecutor(const ThreadPoolExecutor&) = delete;
  ThreadPoolExecutor& operator=(const ThreadPoolExecutor&) = delete;
  /// As shutdown(); without waiting if it was shut down without waiting before.
  ~ThreadPoolExecutor();

  std::size_t max_workers() const noexcept;

  /// From now on work is refused with WrongStateError. May be called again. Called from one of its own
  /// threads, it does not wait.
  void shutdown(ExecutorShutdownOptions options = {}) noexcept;

 private:
  friend struct detail::ExecutorAccess;

  std::shared_ptr<detail::ThreadPool> pool_;
  std::atomic<bool> waits_{true};  ///< the destructor does
};

namespace detail {

/// Completes the future of some work, on the loop's thread.
using Completion = UniqueFunction<void(FutureState&)>;
/// The work: runs on another thread, never throws.
using Work = UniqueFunction<Completion()>;

/// Has `work` done by `executor`, null for the default one, and completes `future`.
WEIR_API void start_work(EventLoop& loop, ThreadPoolExecutor* executor, Work work,
                         std::shared_ptr<FutureState> future);

template <class Function>
bool is_empty_function(const Function& function) {
  if constexpr (requires {
                  { function == nullptr } -> std::convertible_to<bool>;
                }) {
    return function == nullptr;
  } else {
    return false;
  }
}

template <class Function>
auto run_off_thread(EventLoop& loop, ThreadPoolExecutor* executor, Function function) {
  using R = std::decay_t<std::invoke_result_t<Function&>>;
  Future<R> future(loop);
  if (is_empty_function(function)) {
    future.set_exception(std::make_exception_ptr(
        std::invalid_argument("the function to run in an executor is empty")));
    return future;
  }
  Work work = [function = std::move(function)]() mutable -> Completion {
    try {
      if constexpr (std::is_void_v<R>) {
        function();
        return [](FutureState& state) { state.finish(); };
      } else {
        return [result = R(function())](FutureState& state) mutable {
          static_cast<FutureValue<R>&>(state).value.emplace(std::move(result));
          state.finish();
        };
      }
    } catch (...) {
      return [error = std::current_exception()](FutureState& state) { state.fail(error); };
    }
  };
  start_work(loop, executor, std::move(work), FutureAccess::state(future));
  return future;
}

}  // namespace detail

/// Runs `function()` on a thread of the loop's default executor, which is made on first use. The future
/// gives what it returns, or throws what it throws. [L35]
///
/// `function` and its result are moved, never copied, and need be no more than movable; `function` is
/// destroyed on that thread, before the future is done. Cancelling the future drops work that has not
/// begun; work that has goes on, and its result is dropped, as it is when the loop is closed meanwhile.
///
/// Errors: through the future; WrongStateError if the loop is closed or the executor shut down.
/// Threads: the loop's. On a simulated loop the threads are real ones: its time does not wait for them.
template <class Function>
  requires std::invocable<std::decay_t<Function>&>
auto run_in_executor(EventLoop& loop, Function&& function) {
  return detail::run_off_thread<std::decay_t<Function>>(loop, nullptr,
                                                        std::forward<Function>(function));
}

/// The same on a thread of `executor`, which may go once this returned: see its destructor.
template <class Function>
  requires std::invocable<std::decay_t<Function>&>
auto run_in_executor(EventLoop& loop, ThreadPoolExecutor& executor, Function&& function) {
  return detail::run_off_thread<std::decay_t<Function>>(loop, &executor,
                                                        std::forward<Function>(function));
}

}  // namespace weir::inline v0
