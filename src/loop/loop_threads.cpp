#include <weir/loop_threads.h>

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "signals_blocked.h"

namespace weir::inline v0 {
namespace detail {
namespace {

std::size_t usable_processors() noexcept {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0) return 1;
  return static_cast<std::size_t>(std::max(CPU_COUNT(&usable), 1));
}

}  // namespace

class LoopThreadsCore {
 public:
  LoopThreadsCore(std::size_t count, LoopThreads::Body body, LoopOptions options)
      : body_(std::move(body)), options_(std::move(options)), members_(count) {
    for (std::size_t index = 0; index < count; ++index) {
      if (const std::exception_ptr failure = start(index)) {
        stop();
        join_all();
        std::rethrow_exception(failure);
      }
    }
  }
  LoopThreadsCore(const LoopThreadsCore&) = delete;
  LoopThreadsCore& operator=(const LoopThreadsCore&) = delete;
  ~LoopThreadsCore() {
    stop();
    join_all();
  }

  std::size_t size() const noexcept { return members_.size(); }

  bool post(std::size_t index, Callback callback) {
    Member& member = members_.at(index);
    if (!callback) throw std::invalid_argument("the callback is empty");
    const std::lock_guard lock(mutex_);  // the loop stays as long
    if (member.loop == nullptr) return false;
    member.loop->call_soon_threadsafe(std::move(callback));
    return true;
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    for (const Member& member : members_) {
      if (EventLoop* const loop = member.loop) loop->call_soon_threadsafe([loop] { loop->stop(); });
    }
  }

  /// Returns what the first to fail has failed with.
  std::exception_ptr join_all() {
    std::exception_ptr first;
    for (Member& member : members_) {
      if (member.thread.joinable()) member.thread.join();
      if (!first) first = member.failure;
      member.failure = nullptr;
    }
    return first;
  }

  void set_ready(std::size_t index) {
    const std::lock_guard lock(mutex_);
    members_[index].ready = true;
    changed_.notify_all();
  }

 private:
  struct Member {
    std::thread thread{};
    EventLoop* loop = nullptr;  ///< while its body runs
    bool ready = false;         ///< or over
    std::exception_ptr failure{};
  };

  /// Returns what keeps it from being ready.
  std::exception_ptr start(std::size_t index) {
    Member& member = members_[index];
    try {
      const SignalsBlocked none;
      member.thread = std::thread([this, index] { run(index); });
    } catch (...) {
      return std::current_exception();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return member.ready; });
    return member.failure;
  }

  void run(std::size_t index) noexcept {
    std::exception_ptr failure;
    try {
      LoopOptions options = options_;
      if (!options.name.empty()) options.name += "." + std::to_string(index);
      EventLoop loop(options);
      const Published published(*this, index, loop);
      LoopThread self(*this, loop, index);
      body_(self);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    members_[index].failure = failure;
    members_[index].ready = true;
    changed_.notify_all();
  }

  /// While it lives others may post to the loop.
  class Published {
   public:
    Published(LoopThreadsCore& core, std::size_t index, EventLoop& loop)
        : core_(core), index_(index) {
      set(&loop);
    }
    Published(const Published&) = delete;
    Published& operator=(const Published&) = delete;
    ~Published() { set(nullptr); }

   private:
    void set(EventLoop* loop) {
      const std::lock_guard lock(core_.mutex_);
      core_.members_[index_].loop = loop;
    }

    LoopThreadsCore& core_;
    const std::size_t index_;
  };

  const LoopThreads::Body body_;
  const LoopOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Member> members_;
};

}  // namespace detail

void LoopThread::ready() { core_.set_ready(index_); }

LoopThreads::LoopThreads(std::size_t count, Body body, const LoopOptions& options) {
  if (!body) throw std::invalid_argument("the body of the threads is empty");
  if (options.host || options.backend == BackendKind::simulated) {
    throw std::invalid_argument(
        "loops on several threads need a real backend: a simulated network is on one thread");
  }
  core_ = std::make_unique<detail::LoopThreadsCore>(
      count == 0 ? detail::usable_processors() : count, std::move(body), options);
}

LoopThreads::LoopThreads(LoopThreads&&) noexcept = default;
LoopThreads& LoopThreads::operator=(LoopThreads&&) noexcept = default;
LoopThreads::~LoopThreads() = default;

std::size_t LoopThreads::size() const noexcept { return core_ != nullptr ? core_->size() : 0; }

bool LoopThreads::post(std::size_t index, Callback callback) {
  if (core_ == nullptr) throw std::out_of_range("there are no threads");
  return core_->post(index, std::move(callback));
}

void LoopThreads::stop() {
  if (core_ != nullptr) core_->stop();
}

void LoopThreads::join() {
  if (core_ == nullptr) return;
  if (const std::exception_ptr failure = core_->join_all()) std::rethrow_exception(failure);
}

}  // namespace weir::inline v0
