// `weir chaos`: a relay whose network is bad, as it is told.
#pragma once

#include <weir/weir.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir_tool {

struct ChaosCommand {
  std::string listen_url;
  std::string target_url;
  // Lists as change_faults() takes them: of both directions, and what one of them has otherwise.
  std::vector<std::string> both;
  std::vector<std::string> forward;
  std::vector<std::string> back;
  std::vector<std::string> script_lines;
  std::string script_path;
  /// Unset: any.
  std::optional<std::uint64_t> seed;
  double grace_seconds = 5;
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. Throws UsageError and RunError.
int run_chaos(const ChaosCommand& command);

}  // namespace weir_tool
