#include <weir/event_loop.h>

#include <utility>

#include "loop.h"

namespace weir::inline v0 {

using detail::Entry;
using detail::PostBox;

std::string_view to_string(BackendKind kind) noexcept {
  switch (kind) {
    case BackendKind::automatic: return "automatic";
    case BackendKind::epoll: return "epoll";
    case BackendKind::uring: return "uring";
    case BackendKind::simulated: return "simulated";
  }
  return "unknown";
}

Context::~Context() = default;

Handle::Handle(Handle&& other) noexcept
    : entry_(std::exchange(other.entry_, {})),
      threadsafe_(other.threadsafe_),
      cancelled_(std::exchange(other.cancelled_, false)) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  entry_ = std::exchange(other.entry_, {});
  threadsafe_ = other.threadsafe_;
  cancelled_ = std::exchange(other.cancelled_, false);
  return *this;
}

void Handle::cancel() noexcept {
  if (cancelled_ || entry_.slot == nullptr) return;
  if (threadsafe_) {
    cancelled_ = PostBox::end_claim(entry_);
    return;
  }
  auto* entry = entry_.get<Entry>();
  if (entry == nullptr) return;
  cancelled_ = true;
  entry->forget_handles();
  // Destroyed last: it may hold anything, even this handle's owner.
  const Callback callback = std::move(entry->callback);
  if (entry->timers != nullptr) entry->timers->note_cancelled();
}

EventLoop::EventLoop(const LoopOptions& options)
    : loop_(std::make_unique<detail::Loop>(*this, options)) {}

EventLoop::~EventLoop() = default;

void EventLoop::run_forever() { loop_->run_forever(); }
void EventLoop::run_until_done(const std::shared_ptr<detail::FutureState>& future) {
  loop_->run_until_done(future);
}
std::size_t EventLoop::run_once(std::chrono::nanoseconds max_wait) {
  return loop_->run_once(max_wait);
}
void EventLoop::stop() noexcept { loop_->stop(); }
void EventLoop::close() { loop_->close(); }
bool EventLoop::is_running() const noexcept { return loop_->is_running(); }
bool EventLoop::is_closed() const noexcept { return loop_->is_closed(); }

int EventLoop::poll_descriptor() noexcept {
  return loop_->is_closed() ? -1 : loop_->backend().poll_descriptor();
}
std::optional<EventLoop::TimePoint> EventLoop::next_deadline() const noexcept {
  return loop_->next_deadline();
}

Handle EventLoop::call_soon(Callback callback, std::shared_ptr<Context> context) {
  return loop_->call_soon(std::move(callback), std::move(context));
}
TimerHandle EventLoop::call_at(TimePoint when, Callback callback,
                               std::shared_ptr<Context> context) {
  return loop_->call_at(when, std::move(callback), std::move(context));
}
TimerHandle EventLoop::call_after(std::chrono::nanoseconds delay, Callback callback,
                                  std::shared_ptr<Context> context) {
  return loop_->call_after(delay, std::move(callback), std::move(context));
}
Handle EventLoop::call_soon_threadsafe(Callback callback, std::shared_ptr<Context> context) {
  return loop_->call_soon_threadsafe(std::move(callback), std::move(context));
}
EventLoop::TimePoint EventLoop::time() const noexcept { return loop_->time(); }
std::shared_ptr<Context> EventLoop::current_context() const noexcept {
  return loop_->current_context();
}

void EventLoop::add_reader(int descriptor, Callback callback) {
  loop_->require_open();
  loop_->watchers().add(descriptor, detail::DescriptorWatchers::Side::reader, std::move(callback));
}
void EventLoop::add_writer(int descriptor, Callback callback) {
  loop_->require_open();
  loop_->watchers().add(descriptor, detail::DescriptorWatchers::Side::writer, std::move(callback));
}
bool EventLoop::remove_reader(int descriptor) {
  return !loop_->is_closed() &&
         loop_->watchers().remove(descriptor, detail::DescriptorWatchers::Side::reader);
}
bool EventLoop::remove_writer(int descriptor) {
  return !loop_->is_closed() &&
         loop_->watchers().remove(descriptor, detail::DescriptorWatchers::Side::writer);
}

void EventLoop::add_signal_handler(int signal, Callback callback) {
  loop_->require_open();
  if (loop_->debug()) loop_->check_thread();
  loop_->signals().add(signal, std::move(callback));
}
bool EventLoop::remove_signal_handler(int signal) { return loop_->signals().remove(signal); }

void EventLoop::set_default_executor(std::shared_ptr<ThreadPoolExecutor> executor) {
  loop_->default_executor().set(std::move(executor));
}
Future<void> EventLoop::shutdown_default_executor(std::optional<std::chrono::nanoseconds> timeout) {
  return loop_->default_executor().shut_down(timeout);
}

void EventLoop::set_exception_handler(ExceptionHandler handler) {
  loop_->set_exception_handler(std::move(handler));
}
EventLoop::ExceptionHandler EventLoop::get_exception_handler() const {
  return loop_->exception_handler();
}
void EventLoop::call_exception_handler(const ExceptionContext& context) {
  loop_->call_exception_handler(context);
}
void EventLoop::default_exception_handler(const ExceptionContext& context) {
  loop_->default_exception_handler(context);
}
void EventLoop::set_fatal_exception_predicate(
    std::function<bool(const std::exception_ptr&)> predicate) {
  loop_->set_fatal_exception_predicate(std::move(predicate));
}

void EventLoop::set_debug(bool enabled) noexcept { loop_->set_debug(enabled); }
bool EventLoop::get_debug() const noexcept { return loop_->debug(); }
void EventLoop::set_slow_callback_duration(std::chrono::nanoseconds duration) noexcept {
  loop_->set_slow_callback_duration(duration);
}
std::chrono::nanoseconds EventLoop::get_slow_callback_duration() const noexcept {
  return loop_->slow_callback_duration();
}
BackendKind EventLoop::backend() const noexcept { return loop_->kind(); }
const std::string& EventLoop::name() const noexcept { return loop_->name(); }

}  // namespace weir::inline v0
