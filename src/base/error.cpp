#include <weir/error.h>

#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::inline v0 {
namespace {

std::error_code last_code(const std::vector<std::system_error>& errors) noexcept {
  return errors.empty() ? std::make_error_code(std::errc::timed_out) : errors.back().code();
}

/// What a std::system_error must be given so that its text is the list of all `errors`: it adds
/// ": " and the words of its code itself, which is how the list ends anyway.
std::string text_of(const std::vector<std::system_error>& errors) {
  std::string text = "Multiple exceptions";
  std::string_view separator = ": ";
  for (const std::system_error& error : errors) {
    text.append(std::exchange(separator, ", ")).append(error.what());
  }
  const std::string added = ": " + last_code(errors).message();
  if (text.ends_with(added)) text.resize(text.size() - added.size());
  return text;
}

/// The code `exception` carries, if it is an error of the system.
std::error_code code_of(const std::exception_ptr& exception) noexcept {
  if (exception == nullptr) return {};
  try {
    std::rethrow_exception(exception);
  } catch (const std::system_error& error) {
    return error.code();
  } catch (...) {
    return {};
  }
}

std::string words_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace

WrongStateError::~WrongStateError() = default;
UnsupportedOperationError::~UnsupportedOperationError() = default;
InvalidStateError::~InvalidStateError() = default;

CancelledError::~CancelledError() = default;
const char* CancelledError::what() const noexcept { return "cancelled"; }

AggregateError::AggregateError(std::vector<std::system_error> errors)
    : std::system_error(last_code(errors), text_of(errors)), errors_(std::move(errors)) {}
AggregateError::~AggregateError() = default;

CloseReason::CloseReason(std::error_code code) noexcept
    : category_(code ? &code.category() : nullptr), value_(code.value()) {}
CloseReason::CloseReason(std::exception_ptr exception) : CloseReason(code_of(exception)) {
  exception_.swap(exception);
}

std::exception_ptr CloseReason::exception() const {
  if (exception_ != nullptr || category_ == nullptr) return exception_;
  return std::make_exception_ptr(std::system_error(code()));
}

std::string CloseReason::message() const {
  if (exception_ != nullptr) return words_of(exception_);
  return category_ != nullptr ? code().message() : std::string();
}

}  // namespace weir::inline v0
