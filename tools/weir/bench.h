// `weir bench`: loads an echo server, checks every byte, and draws how long the answers took.
#pragma once

#include <weir/weir.h>
#include <cstddef>
#include <string>

namespace weir_tool {

struct BenchCommand {
  std::string url;
  std::size_t connections = 10;
  std::size_t message_bytes = 1024;
  std::size_t pipeline = 1;
  double seconds = 5;
  /// Where to write the figures as JSON; empty for nowhere.
  std::string json_path;
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. On the simulated backend it serves the URL itself, in this process.
/// Throws UsageError and RunError.
int run_bench(const BenchCommand& command);

}  // namespace weir_tool
