#include "loop.h"

#include <weir/contract_checker.h>

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>

#include "log_record.h"

namespace weir::inline v0::detail {
namespace {

/// A deadline that has always passed: do not wait.
constexpr TimePoint at_once = TimePoint::min();

constexpr std::chrono::nanoseconds wait_for_ever = std::chrono::nanoseconds::max();

thread_local Loop* running_on_this_thread = nullptr;

BackendKind kind_of(const LoopOptions& options) {
  if (!options.host) return options.backend;
  if (options.backend != BackendKind::automatic && options.backend != BackendKind::simulated) {
    throw std::invalid_argument("a loop on a simulated host needs the simulated backend, not " +
                                std::string(to_string(options.backend)));
  }
  return BackendKind::simulated;
}

/// Of the kind that is wished for; an automatic one becomes what it is.
std::unique_ptr<Backend> make_backend(const LoopOptions& options, BackendKind& kind) {
  switch (kind) {
    case BackendKind::simulated: return make_simulated_backend(options.simulation, options.host);
    case BackendKind::uring: return make_uring_backend();
    case BackendKind::epoll: return make_epoll_backend();
    case BackendKind::automatic: break;
  }
  try {
    kind = BackendKind::uring;
    return make_uring_backend(UringWish::ahead_of_epoll);
  } catch (const std::system_error& error) {
    log_record(LogLevel::debug, std::string("a loop runs on epoll: ") + error.what());
    kind = BackendKind::epoll;
    return make_epoll_backend();
  }
}

std::string type_name(const std::type_info& type) {
  int status = 0;
  char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string result = name != nullptr ? name : type.name();
  std::free(name);
  return result;
}

std::string describe(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return type_name(typeid(error)) + ": " + error.what();
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return type != nullptr ? type_name(*type) : "an exception of no C++ type";
  }
}

/// Of a transport of any kind.
template <class Handle>
std::string state_of(const Handle& transport) {
  std::string text = transport.is_closing() ? "closing" : "open";
  if (auto peer = transport.template get_extra_info<Address>("peername"))
    text += ", to " + peer->to_string();
  return text;
}

const char* name_of(const Entry& entry) {
  if (entry.timers != nullptr) return "of call_later() or call_at()";
  return entry.claim.slot != nullptr ? "of call_soon_threadsafe()" : "of call_soon()";
}

/// `start` plus `delay`, or the last time there is. [L14]
TimePoint saturated_sum(TimePoint start, std::chrono::nanoseconds delay) noexcept {
  return delay > TimePoint::max() - start ? TimePoint::max() : start + delay;
}

}  // namespace

/// Marks the loop as running on this thread, for as long as a run call, or a turn, lasts.
class Loop::RunScope {
 public:
  explicit RunScope(Loop& loop) : loop_(loop) {
    loop.running_ = true;
    loop.thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    running_on_this_thread = &loop;
  }
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;
  ~RunScope() {
    loop_.backend_->flush();
    // From here on a host may sleep on poll_descriptor().
    if (!loop_.post_box_->may_sleep()) loop_.backend_->wake();
    running_on_this_thread = before_;
    loop_.thread_.store(std::thread::id(), std::memory_order_relaxed);
    loop_.stopping_ = false;
    loop_.running_ = false;
  }

 private:
  Loop& loop_;
  Loop* const before_ = running_on_this_thread;
};

Loop::Loop(EventLoop& facade, const LoopOptions& options)
    : facade_(facade),
      entries_(slots_),
      timers_(entries_),
      kind_(kind_of(options)),
      backend_(make_backend(options, kind_)),
      post_box_(std::make_shared<PostBox>(*backend_)),
      watchers_(*this),
      signals_(*this),
      default_executor_(*this),
      observers_(options.observers),
      name_(options.name),
      facade_ref_(slots_.acquire(&facade)) {
  if (options.host) {
    const auto& more = network_observers(options.host);
    observers_.insert(observers_.end(), more.begin(), more.end());
    if (name_.empty()) name_ = options.host.name();
  }
  // The one thing that a user can add to a program which is built already.
  if (const char* check = secure_getenv("WEIR_CHECK"); check != nullptr && *check != '\0') {
    observers_.push_back(std::make_shared<ContractChecker>());
  }
  backend_->attach(*this);
}

Loop::~Loop() {
  if (!closed_ && debug_) log_record(LogLevel::warning, "unclosed event loop");
  close();
  slots_.release(*facade_ref_.slot);
}

// --- Running ----------------------------------------------------------------------------------------

void Loop::require_open() const {
  if (closed_) throw WrongStateError("Event loop is closed");
}

void Loop::check_can_run() const {
  require_open();
  if (running_) throw WrongStateError("This event loop is already running");
  check_none_runs_here();
}

void Loop::check_none_runs_here() {
  if (running_on_this_thread != nullptr) {
    throw WrongStateError("Cannot run the event loop while another loop is running");
  }
}

void Loop::run_forever() {
  check_can_run();
  const RunScope scope(*this);
  has_no_turns_ = false;
  do {
    run_iteration(wait_for_ever);
  } while (!stopping_);
}

void Loop::run_until_done(const std::shared_ptr<FutureState>& future) {
  if (future == nullptr) throw std::invalid_argument("the future names nothing");
  if (future->loop() != facade_ref_) {
    throw std::invalid_argument("The future belongs to a different loop than the one it is run on");
  }
  check_can_run();
  // Expires with this call, so that a callback that is scheduled by then does not stop a later run.
  const auto stop_me = std::make_shared<Loop*>(this);
  const DoneCallbackId id = future->add_done_callback(
      [stop_me = std::weak_ptr(stop_me)](const std::shared_ptr<FutureState>&) {
        if (const auto loop = stop_me.lock()) (*loop)->stop();
      });
  try {
    run_forever();
  } catch (...) {
    future->remove_done_callback(id);
    throw;
  }
  future->remove_done_callback(id);
  if (!future->done()) throw WrongStateError("Event loop stopped before Future completed.");
}

std::size_t Loop::run_once(std::chrono::nanoseconds max_wait) {
  check_can_run();
  const RunScope scope(*this);
  has_no_turns_ = false;
  return run_iteration(max_wait);
}

std::size_t Loop::run_iteration(std::chrono::nanoseconds max_wait) {
  if (fatal_ != nullptr) std::rethrow_exception(std::exchange(fatal_, nullptr));
  std::optional<TimePoint> deadline;
  if (!ready_.empty() || stopping_ || max_wait <= std::chrono::nanoseconds::zero() ||
      !post_box_->may_sleep()) {
    deadline = at_once;
  } else {
    deadline = timers_.earliest();
    if (max_wait != wait_for_ever) {
      const TimePoint latest = saturated_sum(backend_->now(), max_wait);
      deadline = deadline ? std::min(*deadline, latest) : latest;
    }
  }
  backend_->wait(deadline);

  for (Posted& posted : post_box_->collect()) {
    Entry& entry = entries_.acquire(std::move(posted.callback), std::move(posted.context));
    entry.claim = posted.claim;
    ready_.push(entry);
  }
  if (timers_.size() != 0) timers_.pop_due(backend_->now(), due_);

  std::size_t done = run_ready(ready_.size());
  if (fatal_ == nullptr) done += backend_->dispatch();
  done += run_due();
  if (fatal_ != nullptr) std::rethrow_exception(std::exchange(fatal_, nullptr));
  return done;
}

std::optional<TimePoint> Loop::next_turn() noexcept {
  if (has_no_turns_) return std::nullopt;
  return next_deadline();
}

std::exception_ptr Loop::run_turn() noexcept {
  const RunScope scope(*this);
  try {
    run_iteration({});
  } catch (...) {
    return std::current_exception();
  }
  has_no_turns_ = stopping_;
  return nullptr;
}

void Loop::end_with(std::exception_ptr failure) noexcept {
  if (!is_busy()) return close();
  if (fatal_ == nullptr) fatal_ = std::move(failure);
  backend_->interrupt_dispatch();
}

std::size_t Loop::run_ready(std::size_t count) noexcept {
  std::size_t done = 0;
  for (; done < count && fatal_ == nullptr; ++done) run_entry(ready_.pop());
  return done;
}

/// After a fatal exception the rest is left for the next run.
std::size_t Loop::run_due() noexcept {
  std::size_t done = 0;
  for (; done < due_.size() && fatal_ == nullptr; ++done) {
    if (done + 1 < due_.size()) __builtin_prefetch(due_[done + 1]);
    run_entry(*due_[done]);
  }
  for (std::size_t left = done; left < due_.size(); ++left) ready_.push(*due_[left]);
  due_.clear();
  return done;
}

void Loop::run_entry(Entry& entry) noexcept {
  entry.forget_handles();
  if (entry.timers != nullptr && !entry.callback) entry.timers->note_released();
  if (entry.claim.slot != nullptr) {
    const bool cancelled = !PostBox::end_claim(entry.claim);
    post_box_->release_claim(entry.claim);
    if (cancelled) entry.callback.reset();
  }
  if (entry.callback) run_guarded(entry.callback, entry.context, name_of(entry));
  entries_.release(entry);
}

void Loop::drop_entry(Entry& entry) noexcept {
  // A handle that cancels later must not believe it was in time.
  if (entry.claim.slot != nullptr) {
    static_cast<void>(PostBox::end_claim(entry.claim));
    post_box_->release_claim(entry.claim);
  }
  entries_.release(entry);
}

void Loop::stop() noexcept { stopping_ = true; }

void Loop::close() {
  if (running_) throw WrongStateError("Cannot close a running event loop");
  if (is_busy()) throw WrongStateError("Cannot close an event loop from inside a callback");
  if (closed_) return;
  closed_ = true;
  post_box_->close();
  // What these destroy is the user's, and may come back; nothing can be scheduled any more.
  while (!ready_.empty()) drop_entry(ready_.pop());
  timers_.clear();
  watchers_.clear();
  signals_.clear();
  default_executor_.close();
  while (!owned_.empty()) destroy(owned_.front());
  backend_.reset();
}

std::optional<TimePoint> Loop::next_deadline() noexcept {
  if (closed_) return std::nullopt;
  if (!ready_.empty() || stopping_ || backend_->has_pending_events()) return backend_->now();
  return timers_.earliest();
}

TimePoint Loop::time() const noexcept { return backend_ ? backend_->now() : steady_now(); }

// --- Scheduling -------------------------------------------------------------------------------------

void Loop::check_schedulable(const Callback& callback) const {
  require_open();
  if (!callback) throw std::invalid_argument("the callback to schedule is empty");
  if (debug_) check_thread();
}

Handle Loop::call_soon(Callback&& callback, std::shared_ptr<Context>&& context) {
  check_schedulable(callback);
  if (context == nullptr && current_context_ != nullptr) context = current_context_;
  Entry& entry = entries_.acquire(std::move(callback), std::move(context));
  ready_.push(entry);
  return Handle(entry.ref(), false);
}

TimerHandle Loop::call_at(TimePoint when, Callback&& callback, std::shared_ptr<Context>&& context) {
  check_schedulable(callback);
  if (context == nullptr && current_context_ != nullptr) context = current_context_;
  Entry& entry = entries_.acquire(std::move(callback), std::move(context));
  timers_.push(when, entry);
  return TimerHandle(Handle(entry.ref(), false), when);
}

TimerHandle Loop::call_after(std::chrono::nanoseconds delay, Callback&& callback,
                             std::shared_ptr<Context>&& context) {
  check_schedulable(callback);
  return call_at(saturated_sum(time(), delay), std::move(callback), std::move(context));
}

Handle Loop::call_soon_threadsafe(Callback&& callback, std::shared_ptr<Context>&& context) {
  if (!callback) throw std::invalid_argument("the callback to schedule is empty");
  if (running_on_this_thread == this) {
    // In order with call_soon(): no detour over the box.
    if (context == nullptr) context = current_context_;
    Entry& entry = entries_.acquire(std::move(callback), std::move(context));
    entry.claim = post_box_->make_claim();
    ready_.push(entry);
    return Handle(entry.claim, true);
  }
  const std::optional<SlotRef> claim =
      post_box_->post_cancellable(std::move(callback), std::move(context));
  if (!claim) throw WrongStateError("Event loop is closed");
  return Handle(*claim, true);
}

void Loop::schedule(Callback callback, std::shared_ptr<Context> context) {
  if (closed_) return;
  ready_.push(entries_.acquire(std::move(callback), std::move(context)));
}

void Loop::destroy(Owned& object) noexcept {
  object.unlink();
  object.retire_name();
  delete &object;
}

// --- Errors -----------------------------------------------------------------------------------------

bool Loop::take_if_fatal(const std::exception_ptr& exception) noexcept {
  if (closed_ || !is_fatal_ || !is_fatal_(exception)) return false;
  if (fatal_ == nullptr) fatal_ = exception;
  backend_->interrupt_dispatch();
  return true;
}

void Loop::report_callback_exception(const std::exception_ptr& exception,
                                     const char* name) noexcept {
  if (take_if_fatal(exception)) return;
  call_exception_handler({.message = std::string("Exception in callback ") + name,
                          .exception = exception,
                          .extra = {{"handle", name}}});
}

void Loop::call_exception_handler(const ExceptionContext& context) noexcept {
  const UserCode inside(*this);
  try {
    try {
      // A copy: the handler may replace itself.
      const EventLoop::ExceptionHandler handler = exception_handler_;
      handler ? handler(facade_, context) : default_exception_handler(context);
    } catch (...) {
      if (take_if_fatal(std::current_exception())) return;
      default_exception_handler({.message = "Unhandled error in exception handler",
                                 .exception = std::current_exception(),
                                 .extra = {{"context", context.message}}});
    }
  } catch (...) {
    log_record(LogLevel::error,
               "Exception in default exception handler while handling an unexpected error");
  }
}

void Loop::default_exception_handler(const ExceptionContext& context) {
  std::map<std::string, std::string> fields = context.extra;
  if (context.protocol != nullptr) {
    const AbstractProtocol& protocol = *context.protocol;
    fields.emplace("protocol", type_name(typeid(protocol)));
  }
  if (context.transport) fields.emplace("transport", state_of(*context.transport));
  if (context.datagram_transport) {
    fields.emplace("transport", state_of(*context.datagram_transport));
  }
  if (context.subprocess_transport) {
    const SubprocessTransport& process = *context.subprocess_transport;
    fields.emplace("transport", "of process " + std::to_string(process.get_pid()));
  }
  std::string text =
      context.message.empty() ? "Unhandled exception in event loop" : context.message;
  for (const auto& [name, value] : fields)
    text.append("\n").append(name).append(": ").append(value);
  if (context.exception != nullptr) text.append("\n").append(describe(context.exception));
  log_record(LogLevel::error, text);
}

// --- Debugging --------------------------------------------------------------------------------------

bool Loop::on_loop_thread() const noexcept {
  const std::thread::id owner = thread_.load(std::memory_order_relaxed);
  return owner == std::thread::id() || owner == std::this_thread::get_id();
}

void Loop::check_thread() const {
  if (!on_loop_thread()) {
    throw WrongStateError(
        "Non-thread-safe operation invoked on an event loop other than the current one; use "
        "call_soon_threadsafe()");
  }
}

void Loop::warn_if_slow(TimePoint begin, const char* name) noexcept {
  const std::chrono::nanoseconds took = steady_now() - begin;
  if (took < slow_callback_duration_) return;
  std::ostringstream text;
  text.precision(3);
  text << std::fixed << "Executing callback " << name << " took "
       << std::chrono::duration<double>(took).count() << " seconds";
  log_record(LogLevel::warning, text.str());
}

}  // namespace weir::inline v0::detail
