#include "thread_pool.h"

#include <weir/error.h>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "signals_blocked.h"

namespace weir::inline v0::detail {
namespace {

/// The pool this thread works for, if it does.
thread_local const ThreadPool* employer = nullptr;

}  // namespace

std::shared_ptr<ThreadPool> ThreadPool::make(std::size_t max_threads, std::string name) {
  return std::shared_ptr<ThreadPool>(new ThreadPool(max_threads, std::move(name)));
}

ThreadPool::ThreadPool(std::size_t max_threads, std::string name)
    : max_threads_(max_threads), name_(std::move(name)), process_(::getpid()) {}

/// Its copy in a forked child, where no lock can be trusted and nobody is to be waited for.
bool ThreadPool::forked() const noexcept { return process_ != ::getpid(); }

ThreadPool::Ticket ThreadPool::submit(Callback task) {
  const std::lock_guard lock(mutex_);
  if (shut_down_) throw WrongStateError("the executor takes no more work: it has been shut down");
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

void ThreadPool::withdraw(Ticket ticket) noexcept {
  Callback dropped;  // released after the lock is
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(tasks_, ticket, &Task::ticket);
  if (found == tasks_.end()) return;
  dropped = std::move(found->run);
  tasks_.erase(found);
}

void ThreadPool::shut_down(Queued queued) noexcept {
  if (forked()) return;
  std::deque<Task> dropped;  // released after the lock is
  const std::lock_guard lock(mutex_);
  shut_down_ = true;
  if (queued == Queued::drop) dropped.swap(tasks_);
  task_added_.notify_all();
}

void ThreadPool::wait_for_end() noexcept {
  if (forked() || employer == this) return;
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return threads_ == 0; });
}

void ThreadPool::when_ended(Callback callback) {
  {
    const std::lock_guard lock(mutex_);
    if (threads_ != 0) {
      when_ended_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void ThreadPool::add_thread_if_useful() {
  if (idle_ >= tasks_.size() || threads_ == max_threads_) return;
  const SignalsBlocked blocked;
  std::thread([self = shared_from_this(), number = threads_] { self->work(number); }).detach();
  ++threads_;
}

void ThreadPool::work(std::size_t number) {
  employer = this;
  ::pthread_setname_np(::pthread_self(), (name_ + "-" + std::to_string(number)).c_str());
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    task_added_.wait(lock, [this] { return !tasks_.empty() || shut_down_; });
    --idle_;
    if (tasks_.empty()) break;
    Callback run = std::move(tasks_.front().run);
    tasks_.pop_front();
    lock.unlock();
    run();
    run.reset();
    lock.lock();
  }
  if (--threads_ != 0) return;
  auto callbacks = std::exchange(when_ended_, {});
  ended_.notify_all();
  lock.unlock();
  for (Callback& callback : callbacks) callback();
}

}  // namespace weir::inline v0::detail
