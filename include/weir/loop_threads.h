#pragma once

#include <weir/callback.h>
#include <weir/event_loop.h>
#include <weir/export.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace weir::inline v0 {

namespace detail {
class LoopThreadsCore;
}

/// What the body of one of several LoopThreads has.
///
/// Threads: its own.
class WEIR_API LoopThread {
 public:
  /// Of this thread; it lives until the body has returned.
  EventLoop& loop() const noexcept { return loop_; }
  /// Which of the threads this is, from 0.
  std::size_t index() const noexcept { return index_; }
  /// Everything is set up: the next thread may begin, and once the last has said so the LoopThreads are made.
  void ready();

 private:
  friend class detail::LoopThreadsCore;
  LoopThread(detail::LoopThreadsCore& core, EventLoop& loop, std::size_t index) noexcept
      : core_(core), loop_(loop), index_(index) {}

  detail::LoopThreadsCore& core_;
  EventLoop& loop_;
  std::size_t index_;
};

/// Event loops on threads of their own, one each, for programs that use several processors; serve_on() is a server on
/// them.
///
/// Each thread makes a loop and calls `body`, which sets up what it wants, says that it is ready(), and runs
/// the loop; when it returns the thread is over, and its loop closed. The threads begin one after the other, so that a
/// body may count on what those before it have set up. They take no signals.
///
/// Threads: any, one at a time; post() and stop() any.
class WEIR_API LoopThreads {
 public:
  using Body = std::function<void(LoopThread&)>;

  /// `count` threads, 0: as many as there are processors for this process, with a loop each as `options` say; in
  /// their names the threads are told apart. Returns once all are ready; a body that returns is.
  ///
  /// Throws what a body throws before that, or what keeps a thread or a loop from being made, after it has stopped the
  /// others and waited for them; and std::invalid_argument for a simulated backend, all of whose loops are on
  /// one thread.
  LoopThreads(std::size_t count, Body body, const LoopOptions& options = {});
  LoopThreads(LoopThreads&&) noexcept;
  LoopThreads& operator=(LoopThreads&&) noexcept;
  LoopThreads(const LoopThreads&) = delete;
  LoopThreads& operator=(const LoopThreads&) = delete;
  /// Calls stop(), and waits for all. What a body throws is lost: join() tells it.
  ~LoopThreads();

  std::size_t size() const noexcept;
  /// Runs `callback` on thread `index`, as call_soon_threadsafe(). False if that one is over; then the callback
  /// is dropped. Throws std::out_of_range, and std::invalid_argument for an empty callback.
  bool post(std::size_t index, Callback callback);
  /// Calls EventLoop::stop() on every thread. A body that is in run_until_complete() has WrongStateError thrown there.
  void stop();
  /// Waits until all bodies have returned. Throws what the first of them has thrown, once.
  void join();

 private:
  std::unique_ptr<detail::LoopThreadsCore> core_;
};

}  // namespace weir::inline v0
