#pragma once

#include <weir/event_loop.h>
#include <weir/exception_context.h>
#include <weir/log.h>
#include <weir/observer.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend.h"
#include "byte_queue.h"
#include "default_executor.h"
#include "descriptor_watchers.h"
#include "intrusive_list.h"
#include "post_box.h"
#include "ready_queue.h"
#include "signals.h"
#include "slot_pool.h"
#include "timer_heap.h"

namespace weir::inline v0::detail {

struct OwnedTag;

/// What a loop owns and destroys when it closes: transports, servers, attempts to connect.
class Owned : public ListNode<OwnedTag> {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  virtual ~Owned() = default;
  /// Comes before the destructor: from here on its names find nothing. What is the user's, and is destroyed with
  /// it, may use them.
  virtual void retire_name() noexcept {}
};

/// Those of the network that `host` is in.
std::vector<std::shared_ptr<Observer>> network_observers(const SimulatedHost& host);

/// The inside of an EventLoop: what the layers above build on.
class Loop final : private LoopTurns {
 public:
  Loop(EventLoop& facade, const LoopOptions& options);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  static Loop& of(EventLoop& loop) noexcept { return *loop.loop_; }
  EventLoop& facade() noexcept { return facade_; }
  Backend& backend() noexcept { return *backend_; }
  SlotPool& slots() noexcept { return slots_; }
  ChunkPool& chunks() noexcept { return chunks_; }
  /// Names the facade for whoever may outlive it.
  SlotRef facade_ref() const noexcept { return facade_ref_; }

  // --- Running
  void run_forever();
  void run_until_done(const std::shared_ptr<FutureState>& future);
  std::size_t run_once(std::chrono::nanoseconds max_wait);
  void stop() noexcept;
  void close();
  bool is_running() const noexcept { return running_; }
  bool is_closed() const noexcept { return closed_; }
  /// Throws WrongStateError if any loop is running on this thread.
  static void check_none_runs_here();
  /// Throws WrongStateError if it is closed. [L7]
  void require_open() const;
  std::optional<TimePoint> next_deadline() noexcept;
  /// The backend's time; the steady clock's once closed.
  TimePoint time() const noexcept;
  BackendKind kind() const noexcept { return kind_; }

  // --- Scheduling
  Handle call_soon(Callback&& callback, std::shared_ptr<Context>&& context);
  TimerHandle call_at(TimePoint when, Callback&& callback, std::shared_ptr<Context>&& context);
  TimerHandle call_after(std::chrono::nanoseconds delay, Callback&& callback,
                         std::shared_ptr<Context>&& context);
  Handle call_soon_threadsafe(Callback&& callback, std::shared_ptr<Context>&& context);
  /// call_soon() for the library's own callbacks: no checks, no handle; dropped if the loop closed.
  void schedule(Callback callback, std::shared_ptr<Context> context = {});
  const std::shared_ptr<Context>& current_context() const noexcept { return current_context_; }
  /// For work on other threads that may outlive the loop: posting to it, dropped once it is closed.
  const std::shared_ptr<PostBox>& post_box() const noexcept { return post_box_; }

  const std::vector<std::shared_ptr<Observer>>& observers() const noexcept { return observers_; }
  const std::string& name() const noexcept { return name_; }

  /// What the TLS layer has for all its connections together; empty before the first.
  std::shared_ptr<void>& tls_buffers() noexcept { return tls_buffers_; }

  DescriptorWatchers& watchers() noexcept { return watchers_; }
  Signals& signals() noexcept { return signals_; }
  DefaultExecutor& default_executor() noexcept { return default_executor_; }

  // --- Ownership
  template <class T>
  T& own(std::unique_ptr<T> object) {
    T& reference = *object;
    owned_.push_back(*object.release());
    return reference;
  }
  static void destroy(Owned& object) noexcept;

  // --- Errors
  void set_exception_handler(EventLoop::ExceptionHandler handler) {
    exception_handler_ = std::move(handler);
  }
  const EventLoop::ExceptionHandler& exception_handler() const noexcept {
    return exception_handler_;
  }
  void set_fatal_exception_predicate(std::function<bool(const std::exception_ptr&)> predicate) {
    is_fatal_ = std::move(predicate);
  }
  void call_exception_handler(const ExceptionContext& context) noexcept;
  void default_exception_handler(const ExceptionContext& context);

  /// True if `exception` must leave the run call: the one that goes on, or else the next. It is kept
  /// for that, and whatever runs now should end. [C10]
  bool take_if_fatal(const std::exception_ptr& exception) noexcept;
  /// While it lives, code of the user's runs, maybe within a call on one of this loop's transports, and maybe
  /// without a run: what it is within must stay.
  class UserCode {
   public:
    explicit UserCode(Loop& loop) noexcept : loop_(loop) { ++loop_.user_code_; }
    UserCode(const UserCode&) = delete;
    UserCode& operator=(const UserCode&) = delete;
    ~UserCode() { --loop_.user_code_; }

   private:
    Loop& loop_;
  };
  /// So that it cannot be closed.
  bool is_busy() const noexcept { return running_ || user_code_ != 0; }

  /// True while an exception is on its way out of the run call. [C10]
  bool is_leaving() const noexcept { return fatal_ != nullptr; }

  /// Runs `callback` in `context`; what it throws is reported as "Exception in callback `name`". Slow
  /// ones are logged in debug mode. [L19, L20, L25]
  template <class F>
  void run_guarded(F&& callback, const std::shared_ptr<Context>& context,
                   const char* name) noexcept {
    const ContextScope scope(*this, context);
    std::optional<TimePoint> begin;
    if (debug_) begin = steady_now();
    try {
      callback();
    } catch (...) {
      report_callback_exception(std::current_exception(), name);
    }
    if (begin) warn_if_slow(*begin, name);
  }

  // --- Debugging
  void set_debug(bool enabled) noexcept { debug_ = enabled; }
  bool debug() const noexcept { return debug_; }
  void set_slow_callback_duration(std::chrono::nanoseconds duration) noexcept {
    slow_callback_duration_ = duration;
  }
  std::chrono::nanoseconds slow_callback_duration() const noexcept {
    return slow_callback_duration_;
  }
  /// Throws WrongStateError in debug mode if another thread runs the loop. [L25]
  void check_thread() const;
  /// True on the thread that runs the loop, and on any while nobody does.
  bool on_loop_thread() const noexcept;
  void warn_if_slow(TimePoint begin, const char* name) noexcept;
  static TimePoint steady_now() noexcept { return std::chrono::steady_clock::now(); }

 private:
  class RunScope;

  /// The current context, for as long as a callback runs. Callbacks do not nest.
  class ContextScope {
   public:
    ContextScope(Loop& loop, const std::shared_ptr<Context>& context) : loop_(loop) {
      if (context == nullptr) return;
      loop_.current_context_ = context;
      context->enter();
    }
    ContextScope(const ContextScope&) = delete;
    ContextScope& operator=(const ContextScope&) = delete;
    ~ContextScope() {
      if (loop_.current_context_ == nullptr) return;
      loop_.current_context_->leave();
      loop_.current_context_.reset();
    }

   private:
    Loop& loop_;
  };

  // --- Turns, while another loop of the same world waits
  std::optional<TimePoint> next_turn() noexcept override;
  std::exception_ptr run_turn() noexcept override;
  void end_with(std::exception_ptr failure) noexcept override;

  void check_schedulable(const Callback& callback) const;
  void check_can_run() const;
  std::size_t run_iteration(std::chrono::nanoseconds max_wait);
  std::size_t run_ready(std::size_t count) noexcept;
  std::size_t run_due() noexcept;
  void run_entry(Entry& entry) noexcept;
  void drop_entry(Entry& entry) noexcept;
  void report_callback_exception(const std::exception_ptr& exception, const char* name) noexcept;

  EventLoop& facade_;
  SlotPool slots_;
  ChunkPool chunks_;
  EntryPool entries_;
  ReadyQueue ready_;
  std::vector<Entry*> due_;  ///< timers whose turn is this iteration
  TimerHeap timers_;
  BackendKind kind_;  ///< of the backend
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<PostBox> post_box_;
  DescriptorWatchers watchers_;
  Signals signals_;
  DefaultExecutor default_executor_;
  std::shared_ptr<void> tls_buffers_;
  std::vector<std::shared_ptr<Observer>> observers_;
  std::string name_;
  IntrusiveList<Owned, OwnedTag> owned_;
  SlotRef facade_ref_;

  std::shared_ptr<Context> current_context_;
  EventLoop::ExceptionHandler exception_handler_;
  std::function<bool(const std::exception_ptr&)> is_fatal_;
  std::exception_ptr fatal_;
  std::chrono::nanoseconds slow_callback_duration_ = std::chrono::milliseconds(100);
  std::atomic<std::thread::id> thread_{};  ///< who runs it; atomic for the check alone
  unsigned user_code_ = 0;                 ///< how deep
  bool running_ = false;
  bool closed_ = false;
  bool stopping_ = false;
  bool has_no_turns_ = false;  ///< it was stopped in one of them
  bool debug_ = false;
};

}  // namespace weir::inline v0::detail
