#include <weir/executor.h>

#include <weir/error.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "default_executor.h"
#include "loop.h"
#include "operation.h"
#include "thread_pool.h"

namespace weir::inline v0 {
namespace detail {
namespace {

std::size_t default_workers() noexcept {
  return std::min<std::size_t>(32, std::thread::hardware_concurrency() + std::size_t{4});
}

/// Work that is with an executor. Only the work goes there: the future, and what its user hung on it,
/// stay on the loop's thread.
class Working final : public Operation {
 public:
  Working(Loop& loop, std::shared_ptr<FutureState> future)
      : Operation(loop), future_(std::move(future)) {}

  /// May throw, as ThreadPool::submit().
  void submit(const std::shared_ptr<ThreadPool>& pool, Work work);
  void fail(std::exception_ptr error) {
    const auto future = std::move(future_);
    finish();
    future->fail(std::move(error));
  }

 private:
  /// What the executor is given. If it is dropped without having run, the future is cancelled.
  class Job {
   public:
    Job(Working& working, Work work)
        : work_(std::move(work)), box_(working.loop().post_box()), name_(working.name()) {}
    Job(Job&&) noexcept = default;
    Job& operator=(Job&&) = delete;
    ~Job() {
      if (box_ != nullptr) tell([](FutureState& future) { future.cancelled_later(); });
    }

    void operator()() {
      Completion completion = work_();
      work_.reset();
      tell(std::move(completion));
    }

   private:
    void tell(Completion completion) {
      std::exchange(box_, nullptr)
          ->post([name = name_, completion = std::move(completion)]() mutable {
            if (auto* operation = name.get<Operation>()) {
              static_cast<Working*>(operation)->complete(completion);
            }
          });
    }

    Work work_;
    std::shared_ptr<PostBox> box_;  ///< null once it has told
    SlotRef name_;
  };

  void complete(Completion& completion) {
    const auto future = std::move(future_);
    finish();
    completion(*future);
  }

  std::shared_ptr<FutureState> future_;
};

void Working::submit(const std::shared_ptr<ThreadPool>& pool, Work work) {
  const ThreadPool::Ticket ticket = pool->submit(Job(*this, std::move(work)));
  future_->set_cancel_hook(
      [ticket, pool = std::weak_ptr(pool),
       cancel = unless_over(*this, [](Working& self) { self.finish(); })]() mutable {
        cancel();
        if (const auto alive = pool.lock()) alive->withdraw(ticket);
        return false;
      });
}

}  // namespace

void start_work(EventLoop& loop, ThreadPoolExecutor* executor, Work work,
                std::shared_ptr<FutureState> future) {
  Loop& inner = Loop::of(loop);
  if (inner.is_closed()) {
    return future->fail(std::make_exception_ptr(WrongStateError("Event loop is closed")));
  }
  auto& working = inner.own(std::make_unique<Working>(inner, std::move(future)));
  try {
    if (executor == nullptr) executor = &inner.default_executor().get();
    working.submit(ExecutorAccess::pool(*executor), std::move(work));
  } catch (...) {
    working.fail(std::current_exception());
  }
}

}  // namespace detail

ThreadPoolExecutor::ThreadPoolExecutor(std::size_t max_workers)
    : pool_(detail::ThreadPool::make(max_workers != 0 ? max_workers : detail::default_workers(),
                                     "weir-worker")) {}

ThreadPoolExecutor::~ThreadPoolExecutor() { shutdown({.wait = waits_}); }

std::size_t ThreadPoolExecutor::max_workers() const noexcept { return pool_->max_threads(); }

void ThreadPoolExecutor::shutdown(ExecutorShutdownOptions options) noexcept {
  using Queued = detail::ThreadPool::Queued;
  pool_->shut_down(options.cancel_futures ? Queued::drop : Queued::run);
  if (options.wait) {
    pool_->wait_for_end();
  } else {
    waits_ = false;
  }
}

}  // namespace weir::inline v0
