#pragma once

#include <weir/export.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace weir::inline v0 {

/// A call that does not fit the state of its object: a write after write_eof(), a loop run twice.
/// asyncio's RuntimeError; a bug in the caller, so it is thrown at once. [C4, table 4]
class WEIR_API WrongStateError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
  ~WrongStateError() override;
};

/// A call that this kind of object does not have: a write on a read pipe, aborting one. asyncio's
/// NotImplementedError; a bug in the caller, so it is thrown at once. [table 4, I13]
class WEIR_API UnsupportedOperationError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
  ~UnsupportedOperationError() override;
};

/// A future that is read too early, or completed twice. [A1]
class WEIR_API InvalidStateError : public WrongStateError {
 public:
  using WrongStateError::WrongStateError;
  ~InvalidStateError() override;
};

/// What a cancelled future throws when it is read. [A1, N9]
class WEIR_API CancelledError : public std::exception {
 public:
  ~CancelledError() override;
  const char* what() const noexcept override;
};

/// Several failures in one: every address that was tried and refused. [N5]
///
/// code() is that of the last one; errors() keeps them all, in the order they happened.
class WEIR_API AggregateError : public std::system_error {
 public:
  explicit AggregateError(std::vector<std::system_error> errors);
  ~AggregateError() override;
  const std::vector<std::system_error>& errors() const noexcept { return errors_; }

 private:
  std::vector<std::system_error> errors_;
};

/// The category of the resolver's own codes (EAI_NONAME and so on). [L37]
WEIR_API const std::error_category& resolver_category() noexcept;

/// Why a connection ended: nothing, an error of the system, or an exception of a callback. [B5, C3]
///
/// Empty for a regular end of the stream, and for close() and abort() by this side.
class WEIR_API CloseReason {
 public:
  CloseReason() noexcept = default;
  CloseReason(std::error_code code) noexcept;  // NOLINT(google-explicit-constructor)
  /// Keeps `exception` whole; code() is its code if it is a std::system_error.
  CloseReason(std::exception_ptr exception);  // NOLINT(google-explicit-constructor)

  /// True when something went wrong.
  explicit operator bool() const noexcept { return category_ != nullptr || exception_ != nullptr; }

  /// The error of the system; zero when there is none.
  std::error_code code() const noexcept {
    return category_ != nullptr ? std::error_code(value_, *category_) : std::error_code();
  }

  /// The exception; for an error of the system a std::system_error of it, when empty a null pointer.
  std::exception_ptr exception() const;

  /// True when a callback's exception ended the connection, whatever its type.
  bool is_exception() const noexcept { return exception_ != nullptr; }

  /// In words; empty when nothing went wrong.
  std::string message() const;

 private:
  // Not a std::error_code, whose default asks for its category: transports pass around empty reasons.
  const std::error_category* category_ = nullptr;
  int value_ = 0;
  std::exception_ptr exception_;
};

}  // namespace weir::inline v0
