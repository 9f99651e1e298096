// `weir echo`: serves echo until it is told to stop.
#pragma once

#include <weir/weir.h>
#include <cstddef>
#include <string>
#include <vector>

namespace weir_tool {

struct EchoCommand {
  std::vector<std::string> urls;
  double grace_seconds = 5;
  std::size_t threads = 1;
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. Throws UsageError and RunError.
int run_echo(const EchoCommand& command);

}  // namespace weir_tool
