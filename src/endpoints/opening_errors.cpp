#include "opening_errors.h"

#include <weir/error.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline v0::detail {

std::exception_ptr connect_failure(std::vector<std::system_error> errors, bool all_errors) {
  if (errors.empty()) {
    errors.emplace_back(std::make_error_code(std::errc::timed_out), "connect");
  }
  const std::string_view first = errors.front().what();
  const bool alike = std::ranges::all_of(
      errors, [first](const std::system_error& error) { return error.what() == first; });
  if (alike && !all_errors) return std::make_exception_ptr(errors.front());
  return std::make_exception_ptr(AggregateError(std::move(errors)));
}

std::exception_ptr adoption_failure(std::error_code error, int descriptor) {
  const std::string subject = "descriptor " + std::to_string(descriptor);
  const auto misuse = [&](const char* text) {
    return std::make_exception_ptr(std::invalid_argument(subject + text));
  };
  if (error == std::errc::bad_file_descriptor) return misuse(" is not open");
  if (error == std::errc::not_a_socket) return misuse(" is not a socket");
  if (error == std::errc::wrong_protocol_type) return misuse(" is not a stream socket");
  if (error == std::errc::device_or_resource_busy) {
    return std::make_exception_ptr(WrongStateError(subject + " is used by a transport already"));
  }
  return std::make_exception_ptr(std::system_error(error, subject));
}

}  // namespace weir::inline v0::detail
