#include <weir/future.h>

#include <algorithm>
#include <stdexcept>

#include "log_record.h"
#include "loop.h"

namespace weir::inline v0::detail {

FutureState::FutureState(EventLoop& loop) : loop_(Loop::of(loop).facade_ref()) {}

FutureState::~FutureState() {
  if (phase_ != Phase::failed || retrieved_) return;
  static constexpr const char* message = "Future exception was never retrieved";
  auto* facade = loop_.get<EventLoop>();
  if (facade == nullptr) {
    log_record(LogLevel::error, message);
    return;
  }
  Loop& loop = Loop::of(*facade);
  if (loop.on_loop_thread()) {
    loop.call_exception_handler({.message = message, .exception = exception_});
  } else if (!loop.post_box()->post([&loop, exception = exception_] {
               loop.call_exception_handler({.message = message, .exception = exception});
             })) {
    log_record(LogLevel::error, message);
  }
}

void FutureState::require_pending() const {
  if (done()) throw InvalidStateError("the future is done already: it can be completed once only");
}

void FutureState::finish() { complete(Phase::finished); }

void FutureState::fail(std::exception_ptr exception) {
  require_pending();
  if (exception == nullptr) throw std::invalid_argument("the exception of a future is null");
  exception_ = std::move(exception);
  complete(Phase::failed);
}

bool FutureState::cancel() {
  if (done()) return false;
  if (cancelling_) return true;
  cancelling_ = true;
  CancelHook hook = std::move(cancel_hook_);
  const bool later = hook && hook();
  if (!later && !done()) complete(Phase::cancelled);
  return true;
}

void FutureState::cancelled_later() {
  if (!done()) complete(Phase::cancelled);
}

void FutureState::complete(Phase phase) {
  phase_ = phase;
  cancel_hook_.reset();
  auto callbacks = std::exchange(callbacks_, {});
  for (Waiting& waiting : callbacks) schedule(std::move(waiting));
}

void FutureState::schedule(Waiting waiting) {
  auto* facade = loop_.get<EventLoop>();
  if (facade == nullptr) return;
  Loop::of(*facade).schedule([self = shared_from_this(),
                              callback = std::move(waiting.callback)]() mutable { callback(self); },
                             std::move(waiting.context));
}

void FutureState::require_result() const {
  switch (phase_) {
    case Phase::pending: throw InvalidStateError("the result of the future is not ready yet");
    case Phase::finished: return;
    case Phase::failed: retrieved_ = true; std::rethrow_exception(exception_);
    case Phase::cancelled: throw CancelledError();
  }
}

std::exception_ptr FutureState::exception() const {
  if (phase_ == Phase::pending) {
    throw InvalidStateError("the exception of the future is not known yet");
  }
  if (phase_ == Phase::cancelled) throw CancelledError();
  retrieved_ = true;
  return exception_;
}

DoneCallbackId FutureState::add_done_callback(DoneCallback callback) {
  const DoneCallbackId id{next_callback_++};
  auto* facade = loop_.get<EventLoop>();
  Waiting waiting{id, std::move(callback), facade != nullptr ? facade->current_context() : nullptr};
  if (done()) {
    schedule(std::move(waiting));
  } else {
    callbacks_.push_back(std::move(waiting));
  }
  return id;
}

std::size_t FutureState::remove_done_callback(DoneCallbackId id) {
  return std::erase_if(callbacks_, [id](const Waiting& waiting) { return waiting.id == id; });
}

}  // namespace weir::inline v0::detail
