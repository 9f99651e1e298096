#pragma once

#include <weir/callback.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

namespace weir::inline v0::detail {

/// The threads that wait for the system's resolver, for all loops of the process.
///
/// They are made on demand and never end: a resolver that hangs must not keep the process from
/// ending, so they are detached, and what they share is never destroyed.
///
/// Threads: any.
class ResolverThreads {
 public:
  enum class Ticket : std::uint64_t {};

  static constexpr std::size_t max_threads = 4;

  static ResolverThreads& instance();

  /// Runs `task`, which must not throw, on one of the threads, first in, first out. Throws
  /// std::system_error if there is no thread and none can be made.
  Ticket submit(Callback task);

  /// Drops the task if it has not begun.
  void withdraw(Ticket ticket) noexcept;

 private:
  struct Task {
    Ticket ticket;
    Callback run;
  };

  ResolverThreads() = default;
  void add_thread_if_useful();
  [[noreturn]] void work();

  std::mutex mutex_;
  std::condition_variable task_added_;
  std::deque<Task> tasks_;
  std::uint64_t submitted_ = 0;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
};

}  // namespace weir::inline v0::detail
