#include "default_executor.h"

#include <weir/error.h>

#include <exception>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "log_record.h"
#include "loop.h"
#include "operation.h"
#include "thread_pool.h"

namespace weir::inline v0::detail {
namespace {

using std::chrono::nanoseconds;

/// Waits, in the loop, until the threads of an executor have ended; for `timeout` at the longest.
class Ending final : public Operation {
 public:
  Ending(Loop& loop, std::optional<nanoseconds> timeout, Future<void> future)
      : Operation(loop), timeout_(timeout), future_(std::move(future)) {}
  ~Ending() override { timer_.cancel(); }

  void start(ThreadPool& pool) {
    FutureAccess::state(future_)->set_cancel_hook(
        [cancel = unless_over(*this, [](Ending& self) { self.finish(); })]() mutable {
          cancel();
          return false;
        });
    pool.when_ended([box = loop().post_box(), ended = unless_over(*this, &complete)]() mutable {
      box->post(std::move(ended));
    });
    if (timeout_) {
      timer_ = loop().call_after(*timeout_,
                                 unless_over(*this, [](Ending& self) { self.give_up(); }), {});
    }
  }

 private:
  static void complete(Ending& self) {
    const Future<void> future = self.future_;
    self.finish();
    future.set_result();
  }

  void give_up() {
    std::ostringstream text;
    text << "The executor did not finish joining its threads within "
         << std::chrono::duration<double>(*timeout_).count() << " seconds.";
    log_record(LogLevel::warning, text.str());
    complete(*this);
  }

  std::optional<nanoseconds> timeout_;
  Future<void> future_;
  TimerHandle timer_;
};

}  // namespace

void DefaultExecutor::set(std::shared_ptr<ThreadPoolExecutor> executor) {
  loop_.require_open();
  if (executor == nullptr) {
    throw std::invalid_argument("the default executor must be a ThreadPoolExecutor, not none");
  }
  executor_ = std::move(executor);
}

ThreadPoolExecutor& DefaultExecutor::get() {
  if (shut_down_) throw WrongStateError("Executor shutdown has been called");
  if (executor_ == nullptr) executor_ = std::make_shared<ThreadPoolExecutor>();
  return *executor_;
}

Future<void> DefaultExecutor::shut_down(std::optional<nanoseconds> timeout) {
  Future<void> future(loop_.facade());
  if (loop_.is_closed()) {
    future.set_exception(std::make_exception_ptr(WrongStateError("Event loop is closed")));
    return future;
  }
  shut_down_ = true;
  if (executor_ == nullptr) {
    future.set_result();
    return future;
  }
  executor_->shutdown({.wait = false});
  loop_.own(std::make_unique<Ending>(loop_, timeout, future))
      .start(*ExecutorAccess::pool(*executor_));
  return future;
}

void DefaultExecutor::close() noexcept {
  if (executor_ == nullptr) return;
  executor_->shutdown({.wait = false});
  executor_.reset();
}

}  // namespace weir::inline v0::detail
