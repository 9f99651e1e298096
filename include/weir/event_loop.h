#pragma once

#include <weir/callback.h>
#include <weir/detail/slot.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/simulation.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline v0 {

struct ExceptionContext;
class Observer;
class ThreadPoolExecutor;

/// What is under a loop: epoll, io_uring, or a simulated network. `automatic` takes io_uring where that is at least as
/// fast (from Linux 6.12 on, unless a container or kernel.io_uring_disabled forbids it), else epoll; a log record of
/// the level debug says why. A loop over `uring` cannot be made where there is none (before Linux 5.19, a
/// build without): its constructor throws std::system_error, which says what is missing.
enum class BackendKind : std::uint8_t { automatic, epoll, uring, simulated };

/// The field's word for `kind`: "epoll".
WEIR_API std::string_view to_string(BackendKind kind) noexcept;

struct LoopOptions {
  BackendKind backend = BackendKind::automatic;
  /// Of a simulated loop that is alone in its world; others ignore it.
  SimulationOptions simulation{};
  /// Puts the loop on a host of a SimulatedNetwork, and makes it a simulated one.
  SimulatedHost host{};
  /// For those who watch: of the loop in traces. A loop on a simulated host has the host's by default.
  std::string name{};
  /// Who sees what passes between the loop's transports and their protocols: see weir/observer.h. If the
  /// environment has a WEIR_CHECK that is not empty, a ContractChecker is added.
  std::vector<std::shared_ptr<Observer>> observers{};
};

/// What surrounds a callback: entered before it runs and left after it, with the context that was
/// current when it was scheduled. For embedders that carry state along, such as Python's
/// contextvars. [L19]
class WEIR_API Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context();
  virtual void enter() noexcept = 0;
  virtual void leave() noexcept = 0;
};

namespace detail {
class Loop;

using Nanoseconds = std::chrono::nanoseconds;

/// `delay` in nanoseconds; what does not fit becomes the nearest that does. [L14]
/// Throws std::invalid_argument for a delay that is not a number.
template <class Rep, class Period>
constexpr Nanoseconds saturated(std::chrono::duration<Rep, Period> delay) {
  using Wide = std::chrono::duration<long double, std::nano>;
  const Wide wide(delay);
  if (wide != wide) throw std::invalid_argument("the delay of a timer is not a number");
  if (wide >= Wide(Nanoseconds::max())) return Nanoseconds::max();
  if (wide <= Wide(Nanoseconds::min())) return Nanoseconds::min();
  return std::chrono::duration_cast<Nanoseconds>(delay);
}
constexpr Nanoseconds saturated(Nanoseconds delay) noexcept { return delay; }

}  // namespace detail

/// A callback scheduled to run soon; whoever holds it may cancel it. Dropping it does not cancel.
///
/// Threads: the loop's; that of call_soon_threadsafe() may be cancelled on any thread, one at a time.
class WEIR_API Handle {
 public:
  Handle() noexcept = default;
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() = default;

  /// The callback will not run, even if it is already queued in the running batch, and is released.
  /// Nothing if it ran, was cancelled, or the loop is gone. From another thread: it either has
  /// started, or never will; it is released on the loop's thread. [L15, L17]
  void cancel() noexcept;

  /// True if cancel() was called in time to prevent the callback. [L15]
  bool cancelled() const noexcept { return cancelled_; }

 private:
  friend class detail::Loop;
  Handle(detail::SlotRef entry, bool threadsafe) noexcept
      : entry_(entry), threadsafe_(threadsafe) {}

  detail::SlotRef entry_;
  bool threadsafe_ = false;
  bool cancelled_ = false;
};

/// A callback scheduled for a time. As Handle, and it knows the time.
///
/// Threads: the loop's.
class WEIR_API TimerHandle {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  TimerHandle() noexcept = default;

  void cancel() noexcept { handle_.cancel(); }
  bool cancelled() const noexcept { return handle_.cancelled(); }
  /// When it is due, in the loop's time; also after it ran or was cancelled. [L16]
  TimePoint when() const noexcept { return when_; }

 private:
  friend class detail::Loop;
  TimerHandle(Handle handle, TimePoint when) noexcept : handle_(std::move(handle)), when_(when) {}

  Handle handle_;
  TimePoint when_{};
};

/// Runs callbacks in order, at their time, on one thread, and drives all transports made on it.
///
/// Threads: one loop belongs to the thread that runs it; only call_soon_threadsafe() may be called
/// from others. Different loops may run on different threads. [C1]
///
/// Destroying an open loop closes it, in debug mode with a warning: see close(). [L8]
class WEIR_API EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using TimePoint = Clock::time_point;
  using ExceptionHandler = std::function<void(EventLoop&, const ExceptionContext&)>;

  /// Throws std::system_error if the kernel refuses what a loop needs, std::invalid_argument for a simulated host
  /// with a backend that is none, and WrongStateError if that host is down.
  explicit EventLoop(const LoopOptions& options = {});
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // --- Running ----------------------------------------------------------------------------------

  /// Runs until stop(). Throws WrongStateError if a loop is running on this thread, or this one is
  /// closed, and what the fatal-exception predicate let out. [L2, C10]
  void run_forever();

  /// Runs until `future` is done; returns its result or throws its exception. Throws WrongStateError as
  /// run_forever(), and if the loop stops first. [L3]
  template <class T>
  T run_until_complete(Future<T> future);

  /// Runs one iteration, waiting for at most `max_wait` for something to do: for a loop inside a host's
  /// loop. Returns how many callbacks and events ran. Throws as run_forever(). [L9]
  std::size_t run_once(std::chrono::nanoseconds max_wait = {});

  /// Ends the run after this iteration; what was queued during it stays queued. Without a run going on
  /// the next one does exactly one iteration. [L4, L5]
  void stop() noexcept;

  /// Drops all callbacks, timers and transports without calling them, and frees the kernel's things.
  /// A second call does nothing. Throws WrongStateError while running, and from inside a callback. [L6]
  void close();

  bool is_running() const noexcept;
  bool is_closed() const noexcept;

  /// A descriptor that is readable when run_once() has something to do, for the host's loop to watch;
  /// -1 if the backend has none. The loop keeps it, and it is always the same one. Who asks for it is taken for a
  /// host: from then on the loop waits by epoll, also one over io_uring.
  int poll_descriptor() noexcept;
  /// When run_once() is due even if that descriptor stays silent; nothing if it never is.
  std::optional<TimePoint> next_deadline() const noexcept;

  // --- Scheduling: each throws WrongStateError if the loop is closed, std::invalid_argument for an
  // empty callback [L7] -----------------------------------------------------------------------------

  /// Runs `callback` in the next iteration, first in, first out, in `context` or the current one. An
  /// exception it throws goes to the exception handler. [L10, L11, L20]
  Handle call_soon(Callback callback, std::shared_ptr<Context> context = {});

  /// Runs `callback` after `delay`; at once if that is not positive. Equal times run in the order
  /// they were scheduled. [L12, L13]
  template <class Rep, class Period>
  TimerHandle call_later(std::chrono::duration<Rep, Period> delay, Callback callback,
                         std::shared_ptr<Context> context = {}) {
    return call_after(detail::saturated(delay), std::move(callback), std::move(context));
  }

  /// Runs `callback` at `when`, never earlier. [L12, L14]
  TimerHandle call_at(TimePoint when, Callback callback, std::shared_ptr<Context> context = {});

  /// As call_soon(), from any thread; wakes a waiting loop and keeps each thread's order. [L17]
  Handle call_soon_threadsafe(Callback callback, std::shared_ptr<Context> context = {});

  /// The loop's time, read anew: steady, or virtual on the simulated backend. [L18]
  TimePoint time() const noexcept;

  /// A pending future of this loop.
  template <class T = void>
  Future<T> create_future() {
    return Future<T>(*this);
  }

  /// The context of the callback that is running; empty by default. [L19]
  std::shared_ptr<Context> current_context() const noexcept;

  // --- Descriptors --------------------------------------------------------------------------------

  /// Calls `callback` once an iteration while `descriptor` is readable, ended or broken; replaces an
  /// earlier one. The descriptor stays the caller's: remove it before closing it. [L27, L29]
  /// Throws WrongStateError if a transport owns it, std::invalid_argument if it is negative, and
  /// std::system_error for a file that cannot be polled. [L30, L32]
  void add_reader(int descriptor, Callback callback);
  void add_writer(int descriptor, Callback callback);

  /// True if there was one; it does not run again, even if already queued. [L28]
  bool remove_reader(int descriptor);
  bool remove_writer(int descriptor);

  // --- Signals ------------------------------------------------------------------------------------

  /// Calls `callback` from the loop, as call_soon() would, when the process gets `signal` (SIGINT and
  /// so on); replaces an earlier one. Deliveries that come before the loop looks may be merged.
  /// Interrupted system calls go on. Signals have one loop of the process at a time as their owner, from
  /// its first handler until its last is removed or it is closed; it may run on any thread. A forked
  /// child starts with the system's defaults. [L33]
  ///
  /// Throws std::invalid_argument for a number that is no signal, or an empty callback; WrongStateError
  /// for SIGKILL and SIGSTOP, while another loop owns the signals, or if this one is closed;
  /// UnsupportedOperationError on a simulated loop.
  void add_signal_handler(int signal, Callback callback);

  /// True if there was one: it does not run again, and the system's default action is restored. Throws
  /// std::invalid_argument for a number that is no signal. [L34]
  bool remove_signal_handler(int signal);

  // --- Work on other threads: see run_in_executor() -----------------------------------------------

  /// Makes `executor` the one for work that names none. [L36]
  /// Throws std::invalid_argument for none, WrongStateError if the loop is closed.
  void set_default_executor(std::shared_ptr<ThreadPoolExecutor> executor);

  /// Refuses further work for the default executor, with WrongStateError, and completes once the work
  /// that runs or is queued there is done, or `timeout` has passed: then with a warning in the log.
  /// Cancelling stops the waiting only. [L36]
  Future<void> shutdown_default_executor(std::optional<std::chrono::nanoseconds> timeout = {});

  // --- Errors -------------------------------------------------------------------------------------

  /// Replaces what happens with exceptions nobody else can take; an empty handler restores the
  /// default, which logs. [L22, L23]
  void set_exception_handler(ExceptionHandler handler);
  ExceptionHandler get_exception_handler() const;

  /// Calls the handler. Never throws, but for the fatal-exception predicate. [L24]
  void call_exception_handler(const ExceptionContext& context);
  /// Logs `context` as an error: message, fields by name, exception. [L22]
  void default_exception_handler(const ExceptionContext& context);

  /// Exceptions for which `predicate` is true are not handled: they end the current run call and are
  /// thrown from it. Empty: none is. [C10]
  void set_fatal_exception_predicate(std::function<bool(const std::exception_ptr&)> predicate);

  // --- Debugging ----------------------------------------------------------------------------------

  /// Debug mode reports slow callbacks and checks threads; off at first. [L25, L26]
  void set_debug(bool enabled) noexcept;
  bool get_debug() const noexcept;

  /// How long a callback may run in debug mode before a warning is logged; 100 ms at first. [L25]
  void set_slow_callback_duration(std::chrono::nanoseconds duration) noexcept;
  std::chrono::nanoseconds get_slow_callback_duration() const noexcept;

  /// What is under the loop; never `automatic`.
  BackendKind backend() const noexcept;
  /// The same as a word: "epoll".
  std::string_view backend_name() const noexcept { return to_string(backend()); }
  /// As LoopOptions::name said.
  const std::string& name() const noexcept;

 private:
  friend class detail::Loop;
  friend class detail::FutureState;

  TimerHandle call_after(std::chrono::nanoseconds delay, Callback callback,
                         std::shared_ptr<Context> context);
  void run_until_done(const std::shared_ptr<detail::FutureState>& future);

  std::unique_ptr<detail::Loop> loop_;
};

template <class T>
T EventLoop::run_until_complete(Future<T> future) {
  run_until_done(detail::FutureAccess::state(future));
  if constexpr (std::is_void_v<T>) {
    future.result();
  } else if constexpr (std::is_copy_constructible_v<T>) {
    return future.result();
  } else {
    return std::move(future.result());
  }
}

}  // namespace weir::inline v0
