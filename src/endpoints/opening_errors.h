#pragma once

#include <exception>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "result.h"

namespace weir::inline v0::detail {

/// What an opener fails with when it tried every address and got `errors`: the only one, the first
/// if they say the same, otherwise, or if the user wants them all, an AggregateError. [N5]
std::exception_ptr connect_failure(std::vector<std::system_error> errors, bool all_errors);

/// What an opener fails with when the backend did not take the user's `descriptor`. [N2, L30]
std::exception_ptr adoption_failure(std::error_code error, int descriptor);
/// The same for a pipe. [I1]
std::exception_ptr pipe_failure(std::error_code error, int descriptor, PipeEnd wanted);

/// What the backend made of the user's `descriptor`; throws the adoption_failure() if it took it not.
template <class T>
T adopted(Result<T> result, int descriptor) {
  if (!result) std::rethrow_exception(adoption_failure(result.error(), descriptor));
  return std::move(result.value());
}

/// Throws std::invalid_argument if `descriptor` is a socket, but no Unix one. [N11, V14]
void require_unix_socket(const Backend& backend, int descriptor);

/// What an opener takes: `call`() takes either `address` or a `socket`.
struct OpenerTerms {
  std::string_view call;
  std::string_view address;
  std::string_view socket;
};

/// Throws std::invalid_argument unless exactly one of the two is given. [N2, N11, V2, V14]
void require_one(const OpenerTerms& terms, bool has_address, bool has_socket);

}  // namespace weir::inline v0::detail
