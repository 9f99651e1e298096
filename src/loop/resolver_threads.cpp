#include "resolver_threads.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace weir::inline v0::detail {
namespace {

/// While it lives, this thread takes no signals, nor do those it starts: a signal of the process is
/// for the threads of its author.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

ResolverThreads& ResolverThreads::instance() {
  static std::atomic<ResolverThreads*> current{nullptr};
  // A forked child has none of its parent's threads, so it starts anew. [O6]
  static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { current.store(nullptr, std::memory_order_relaxed); });
  static_cast<void>(registered);  // it fails for want of memory only; forking then is as before
  ResolverThreads* threads = current.load(std::memory_order_acquire);
  if (threads == nullptr) {
    auto made = std::unique_ptr<ResolverThreads>(new ResolverThreads);
    if (current.compare_exchange_strong(threads, made.get(), std::memory_order_acq_rel)) {
      threads = made.release();
    }
  }
  return *threads;
}

ResolverThreads::Ticket ResolverThreads::submit(Callback task) {
  const std::lock_guard lock(mutex_);
  const Ticket ticket{++submitted_};
  tasks_.push_back({ticket, std::move(task)});
  try {
    add_thread_if_useful();
  } catch (const std::system_error&) {
    if (threads_ == 0) {
      tasks_.pop_back();
      throw;
    }
  }
  task_added_.notify_one();
  return ticket;
}

void ResolverThreads::withdraw(Ticket ticket) noexcept {
  Callback dropped;  // released after the lock is
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(tasks_, ticket, &Task::ticket);
  if (found == tasks_.end()) return;
  dropped = std::move(found->run);
  tasks_.erase(found);
}

void ResolverThreads::add_thread_if_useful() {
  if (idle_ >= tasks_.size() || threads_ == max_threads) return;
  const SignalsBlocked blocked;
  std::thread([this] { work(); }).detach();
  ++threads_;
}

void ResolverThreads::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    task_added_.wait(lock, [this] { return !tasks_.empty(); });
    --idle_;
    Callback run = std::move(tasks_.front().run);
    tasks_.pop_front();
    lock.unlock();
    run();
    run.reset();
    lock.lock();
  }
}

}  // namespace weir::inline v0::detail
