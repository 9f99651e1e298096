#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

template <class Signature>
class UniqueFunction;

/// A callable that is moved, never copied, and kept inline up to six pointers in size.
///
/// Larger callables, and those whose move may throw, are kept on the heap. Calling an empty one is
/// undefined; test it first.
///
/// Threads: none of its own; as safe as the callable it holds.
template <class Result, class... Args>
class UniqueFunction<Result(Args...)> {
 public:
  UniqueFunction() noexcept = default;
  UniqueFunction(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor)

  /// Takes `callable`; an empty function pointer, std::function or UniqueFunction gives an empty one.
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, UniqueFunction> &&
             std::is_invocable_r_v<Result, std::decay_t<F>&, Args...>)
  UniqueFunction(F&& callable) {  // NOLINT(google-explicit-constructor)
    using Stored = std::decay_t<F>;
    if constexpr (requires(const Stored& stored) {
                    { stored == nullptr } -> std::convertible_to<bool>;
                  }) {
      if (callable == nullptr) return;
    }
    if constexpr (fits_inline<Stored>) {
      ::new (static_cast<void*>(storage_)) Stored(std::forward<F>(callable));
      operations_ = &inline_operations<Stored>;
    } else {
      ::new (static_cast<void*>(storage_)) Stored*(new Stored(std::forward<F>(callable)));
      operations_ = &heap_operations<Stored>;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept : operations_(other.operations_) {
    if (operations_ != nullptr) operations_->relocate(other.storage_, storage_);
    other.operations_ = nullptr;
  }

  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      operations_ = std::exchange(other.operations_, nullptr);
      if (operations_ != nullptr) operations_->relocate(other.storage_, storage_);
    }
    return *this;
  }

  UniqueFunction(const UniqueFunction&) = delete;
  UniqueFunction& operator=(const UniqueFunction&) = delete;
  ~UniqueFunction() { reset(); }

  /// Destroys the callable, leaving this empty. Safe against a callable whose destructor comes back.
  void reset() noexcept {
    if (const Operations* operations = std::exchange(operations_, nullptr)) {
      operations->destroy(storage_);
    }
  }

  explicit operator bool() const noexcept { return operations_ != nullptr; }

  Result operator()(Args... args) {
    return operations_->invoke(storage_, std::forward<Args>(args)...);
  }

  friend bool operator==(const UniqueFunction& function, std::nullptr_t) noexcept {
    return function.operations_ == nullptr;
  }

 private:
  struct Operations {
    Result (*invoke)(std::byte*, Args&&...);
    void (*relocate)(std::byte* from, std::byte* to) noexcept;
    void (*destroy)(std::byte*) noexcept;
  };

  static constexpr std::size_t inline_size = 6 * sizeof(void*);

  template <class F>
  static constexpr bool fits_inline =
      sizeof(F) <= inline_size && alignof(F) <= alignof(std::max_align_t) &&
      std::is_nothrow_move_constructible_v<F>;

  template <class F>
  static F* stored(std::byte* storage) noexcept {
    return std::launder(reinterpret_cast<F*>(storage));
  }

  template <class F>
  static Result call(F& callable, Args&&... args) {
    if constexpr (std::is_void_v<Result>) {
      std::invoke(callable, std::forward<Args>(args)...);
    } else {
      return std::invoke(callable, std::forward<Args>(args)...);
    }
  }

  template <class F>
  static constexpr Operations inline_operations{
      [](std::byte* storage, Args&&... args) -> Result {
        return call(*stored<F>(storage), std::forward<Args>(args)...);
      },
      [](std::byte* from, std::byte* to) noexcept {
        ::new (static_cast<void*>(to)) F(std::move(*stored<F>(from)));
        stored<F>(from)->~F();
      },
      [](std::byte* storage) noexcept { stored<F>(storage)->~F(); }};

  template <class F>
  static constexpr Operations heap_operations{
      [](std::byte* storage, Args&&... args) -> Result {
        return call(**stored<F*>(storage), std::forward<Args>(args)...);
      },
      [](std::byte* from, std::byte* to) noexcept {
        ::new (static_cast<void*>(to)) F*(*stored<F*>(from));
      },
      [](std::byte* storage) noexcept { delete *stored<F*>(storage); }};

  const Operations* operations_ = nullptr;
  alignas(std::max_align_t) std::byte storage_[inline_size];
};

/// What the event loop runs.
using Callback = UniqueFunction<void()>;

}  // namespace weir::inline v0
