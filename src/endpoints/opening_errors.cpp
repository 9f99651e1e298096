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

std::exception_ptr pipe_failure(std::error_code error, int descriptor, PipeEnd wanted) {
  const std::string subject = "descriptor " + std::to_string(descriptor);
  const auto misuse = [&](const char* text) {
    return std::make_exception_ptr(std::invalid_argument(subject + text));
  };
  if (error == std::errc::invalid_argument) {
    return misuse(
        " is a regular file, a directory or the like; a pipe, a socket or a character device is "
        "wanted");
  }
  if (error == std::errc::operation_not_permitted) {
    return misuse(wanted == PipeEnd::read
                      ? " is open for writing only; a read pipe needs one open for reading"
                      : " is open for reading only; a write pipe needs one open for writing");
  }
  return adoption_failure(error, descriptor);
}

void require_unix_socket(const Backend& backend, int descriptor) {
  const AddressFamily family = backend.socket_family(descriptor);
  if (family == AddressFamily::unspecified || family == AddressFamily::unix_socket) return;
  throw std::invalid_argument("descriptor " + std::to_string(descriptor) +
                              " is an internet socket; a Unix socket is wanted");
}

void require_one(const OpenerTerms& terms, bool has_address, bool has_socket) {
  if (has_address != has_socket) return;
  std::string text(terms.call);
  if (has_address) {
    text.append("() takes either ").append(terms.address).append(" or options.sock, not both");
  } else {
    text.append("() needs ").append(terms.address).append(", or ").append(terms.socket);
    text.append(" in options.sock");
  }
  throw std::invalid_argument(text);
}

}  // namespace weir::inline v0::detail
