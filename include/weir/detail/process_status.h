#pragma once

#include <optional>

namespace weir::inline v0::detail {

/// What is known of a process even when it is gone. [P11]
struct ProcessStatus {
  int pid = 0;
  std::optional<int> returncode{};
};

}  // namespace weir::inline v0::detail
