// What the gates share: how a figure is compared with its bound, and how a program says that it cannot measure.
#pragma once

#include <weir/weir.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace weir::gate {

/// The status for ctest's SKIP_RETURN_CODE.
inline constexpr int skipped = 77;

[[noreturn]] inline void skip(const std::string& why) {
  std::printf("not measured: %s\n", why.c_str());
  std::fflush(stdout);
  std::_Exit(skipped);
}

/// Prints the figure; false if it is over `bound`.
inline bool within(const std::string& what, double figure, double bound) {
  const bool fits = figure <= bound;
  std::printf("%s%s: %.4f, at most %.4f\n", fits ? "" : "OVER THE BOUND: ", what.c_str(), figure,
              bound);
  return fits;
}

/// The backend called `name`. Skips where there is no io_uring; throws std::invalid_argument for a name of none.
inline BackendKind backend_of(std::string_view name) {
  if (name == "epoll") return BackendKind::epoll;
  if (name != "uring") throw std::invalid_argument("epoll or uring");
  try {
    const EventLoop loop({.backend = BackendKind::uring});
  } catch (const std::system_error& error) {
    skip(error.what());
  }
  return BackendKind::uring;
}

}  // namespace weir::gate
