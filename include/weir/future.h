#pragma once

#include <weir/callback.h>
#include <weir/detail/slot.h>
#include <weir/error.h>
#include <weir/export.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline v0 {

class Context;
class EventLoop;

template <class T = void>
class Future;

/// Names a callback of a future, to take it back.
enum class DoneCallbackId : std::uint64_t {};

namespace detail {

/// What futures of every type share: the state, the exception, who waits.
class WEIR_API FutureState : public std::enable_shared_from_this<FutureState> {
 public:
  using DoneCallback = UniqueFunction<void(const std::shared_ptr<FutureState>&)>;
  /// Stops the work behind the future. True: the work ends later, and then calls cancelled_later().
  using CancelHook = UniqueFunction<bool()>;

  explicit FutureState(EventLoop& loop);
  FutureState(const FutureState&) = delete;
  FutureState& operator=(const FutureState&) = delete;
  virtual ~FutureState();

  bool done() const noexcept { return phase_ != Phase::pending; }
  bool cancelled() const noexcept { return phase_ == Phase::cancelled; }
  const SlotRef& loop() const noexcept { return loop_; }

  void require_pending() const;
  void finish();
  void fail(std::exception_ptr exception);
  bool cancel();
  void cancelled_later();
  void set_cancel_hook(CancelHook hook) { cancel_hook_ = std::move(hook); }

  /// Returns when there is a result; throws what there is instead.
  void require_result() const;
  std::exception_ptr exception() const;

  DoneCallbackId add_done_callback(DoneCallback callback);
  std::size_t remove_done_callback(DoneCallbackId id);

 private:
  enum class Phase : std::uint8_t { pending, finished, failed, cancelled };

  /// A callback, and the context it was added in. [L19]
  struct Waiting {
    DoneCallbackId id;
    DoneCallback callback;
    std::shared_ptr<Context> context;
  };

  void complete(Phase phase);
  void schedule(Waiting waiting);

  SlotRef loop_;
  Phase phase_ = Phase::pending;
  mutable bool retrieved_ = false;
  bool cancelling_ = false;
  std::exception_ptr exception_;
  CancelHook cancel_hook_;
  std::uint64_t next_callback_ = 1;
  std::vector<Waiting> callbacks_;
};

template <class T>
struct FutureValue final : FutureState {
  using FutureState::FutureState;
  std::optional<T> value;
};

template <>
struct FutureValue<void> final : FutureState {
  using FutureState::FutureState;
};

struct FutureAccess;

}  // namespace detail

/// A result that comes later; asyncio's Future. Copies name the same result.
///
/// Pending, then finished with a result, an exception or a cancellation, once. Dropping every copy
/// does not cancel the work behind it. [A1, N9]
///
/// Threads: the loop's only, copying and destroying included.
template <class T>
class Future {
 public:
  using value_type = T;

  /// Names nothing: only valid() and assignment may be used.
  Future() noexcept = default;

  /// A pending future, for its maker to complete.
  explicit Future(EventLoop& loop) : state_(std::make_shared<detail::FutureValue<T>>(loop)) {}

  bool valid() const noexcept { return state_ != nullptr; }
  /// True once there is a result, an exception or a cancellation.
  bool done() const noexcept { return state_->done(); }
  bool cancelled() const noexcept { return state_->cancelled(); }

  /// The result. Throws its exception, CancelledError, or InvalidStateError if it is not done. [A1]
  decltype(auto) result() const {
    state_->require_result();
    if constexpr (!std::is_void_v<T>) return static_cast<T&>(*state_->value);
  }

  /// The exception, null if there is a result. Throws CancelledError, or InvalidStateError if it is
  /// not done. [A1]
  std::exception_ptr exception() const { return state_->exception(); }

  /// Completes it. Throws InvalidStateError if it is done already. [A1]
  template <class U = T>
    requires(!std::is_void_v<T> && std::constructible_from<T, U>)
  void set_result(U&& value) const {
    state_->require_pending();
    state_->value.emplace(std::forward<U>(value));
    state_->finish();
  }
  void set_result() const
    requires std::is_void_v<T>
  {
    state_->require_pending();
    state_->finish();
  }

  /// Completes it with `exception`, which must not be null. Throws InvalidStateError if it is done. If
  /// nobody ever reads the exception, the loop's exception handler hears of it. [A1, A2]
  void set_exception(std::exception_ptr exception) const { state_->fail(std::move(exception)); }

  /// Stops the work behind it and completes it with a cancellation: every descriptor the work opened
  /// is closed before the cancellation is delivered. False if it is done already. [A1, N9]
  bool cancel() const { return state_->cancel(); }

  /// Calls `callback(future)` from the loop once it is done: never from inside this call, in the order
  /// added, once. Dropped with the loop. [A1]
  template <class F>
    requires std::invocable<std::decay_t<F>&, Future>
  DoneCallbackId add_done_callback(F&& callback) const {
    return state_->add_done_callback(
        [callback = std::decay_t<F>(std::forward<F>(callback))](
            const std::shared_ptr<detail::FutureState>& state) mutable {
          callback(Future(std::static_pointer_cast<detail::FutureValue<T>>(state)));
        });
  }

  /// Takes a callback back; returns how many were removed: 0 if it has been scheduled already. [A1]
  std::size_t remove_done_callback(DoneCallbackId id) const {
    return state_->remove_done_callback(id);
  }

  friend bool operator==(const Future&, const Future&) = default;

 private:
  friend struct detail::FutureAccess;
  explicit Future(std::shared_ptr<detail::FutureValue<T>> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::FutureValue<T>> state_;
};

namespace detail {

/// For the library's own openers: the state behind a future.
struct FutureAccess {
  template <class T>
  static const std::shared_ptr<FutureValue<T>>& state(const Future<T>& future) noexcept {
    return future.state_;
  }
};

}  // namespace detail
}  // namespace weir::inline v0
