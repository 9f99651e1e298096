#pragma once

#include <cassert>
#include <system_error>
#include <utility>
#include <variant>

namespace weir::inline v0::detail {

/// A value, or the error that came instead.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : outcome_(std::move(value)) {}    // NOLINT(google-explicit-constructor)
  Result(std::error_code error) : outcome_(error) {  // NOLINT(google-explicit-constructor)
    assert(error);
  }

  explicit operator bool() const noexcept { return outcome_.index() == 0; }
  T& value() noexcept { return *std::get_if<0>(&outcome_); }
  std::error_code error() const noexcept {
    const auto* error = std::get_if<1>(&outcome_);
    return error != nullptr ? *error : std::error_code();
  }

 private:
  std::variant<T, std::error_code> outcome_;
};

}  // namespace weir::inline v0::detail
