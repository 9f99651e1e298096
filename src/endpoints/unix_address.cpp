#include "unix_address.h"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>

namespace weir::inline v0::detail {
namespace {

/// Linux's sun_path: a path is followed by a NUL, an abstract name begins with one.
constexpr std::size_t max_name_size = 108;
constexpr std::size_t max_path_size = max_name_size - 1;

}  // namespace

Address unix_address(std::string_view path) {
  if (path.empty()) throw std::invalid_argument("the path of a Unix socket is empty");
  const bool abstract = path.front() == '\0';
  if (!abstract && path.find('\0') != std::string_view::npos) {
    throw std::invalid_argument("the path of a Unix socket, " +
                                std::string(path.substr(0, path.find('\0'))) +
                                "..., has a NUL in it: only an abstract name has one, in front");
  }
  Address address = Address::unix_socket(std::string(path));
  const std::size_t limit = abstract ? max_name_size : max_path_size;
  if (path.size() > limit) {
    throw std::system_error(std::make_error_code(std::errc::filename_too_long),
                            "Unix socket " + address.to_string() + " of " +
                                std::to_string(path.size()) + " bytes, where at most " +
                                std::to_string(limit) + " fit");
  }
  return address;
}

}  // namespace weir::inline v0::detail
