#pragma once

#include <weir/address.h>

#include <string_view>

namespace weir::inline v0::detail {

/// The address of a Unix socket at `path`, or, with a leading NUL, of that abstract name. Throws
/// std::invalid_argument if there can be no such path, std::system_error if it is too long.
Address unix_address(std::string_view path);

}  // namespace weir::inline v0::detail
