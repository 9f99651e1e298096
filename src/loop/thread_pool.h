#pragma once

#include <weir/callback.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace weir::inline v0::detail {

/// Threads that run tasks, first in, first out. They are made on demand, take no signals, and wait for
/// more tasks until the pool is shut down.
///
/// Nobody joins them: each keeps alive what it shares with the others, so that a pool may go while a
/// task hangs, and the process may end.
///
/// Threads: any. A forked child has the pool without its threads, and must not use it. [O6]
class ThreadPool : public std::enable_shared_from_this<ThreadPool> {
 public:
  enum class Ticket : std::uint64_t {};

  /// `name`, short, is what debuggers call the threads.
  static std::shared_ptr<ThreadPool> make(std::size_t max_threads, std::string name);

  std::size_t max_threads() const noexcept { return max_threads_; }

  /// Runs `task`, which must not throw, on one of the threads, and destroys it there. Throws
  /// WrongStateError once shut down, std::system_error if there is no thread and none can be made.
  Ticket submit(Callback task);

  /// Drops the task if it has not begun.
  void withdraw(Ticket ticket) noexcept;

  /// What becomes of the tasks that have not begun when the pool is shut down.
  enum class Queued : bool { run, drop };

  /// No more tasks; the threads end when there is nothing left to do. May be called again.
  void shut_down(Queued queued) noexcept;

  /// After shut_down(): waits until the threads have ended; at once on one of them.
  void wait_for_end() noexcept;

  /// After shut_down(): calls `callback`, which must not throw, once the threads have ended: on the last
  /// of them, or right here if there is none.
  void when_ended(Callback callback);

 private:
  struct Task {
    Ticket ticket;
    Callback run;
  };

  ThreadPool(std::size_t max_threads, std::string name);
  void add_thread_if_useful();
  void work(std::size_t number);
  bool forked() const noexcept;

  const std::size_t max_threads_;
  const std::string name_;
  const int process_;
  std::mutex mutex_;
  std::condition_variable task_added_;
  std::condition_variable ended_;
  std::deque<Task> tasks_;
  std::vector<Callback> when_ended_;
  std::uint64_t submitted_ = 0;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  bool shut_down_ = false;
};

}  // namespace weir::inline v0::detail
