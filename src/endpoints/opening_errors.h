#pragma once

#include <exception>
#include <system_error>
#include <vector>

namespace weir::inline v0::detail {

/// What an opener fails with when it tried every address and got `errors`: the only one, the first
/// if they say the same, otherwise, or if the user wants them all, an AggregateError. [N5]
std::exception_ptr connect_failure(std::vector<std::system_error> errors, bool all_errors);

/// What an opener fails with when the backend did not take the user's `descriptor`. [N2, L30]
std::exception_ptr adoption_failure(std::error_code error, int descriptor);

}  // namespace weir::inline v0::detail
