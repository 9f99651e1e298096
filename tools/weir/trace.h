// `weir trace`: what passes at connections, as a picture.
#pragma once

#include <weir/weir.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir_tool {

enum class TraceFormat : std::uint8_t { text, mermaid, svg, perfetto };

struct TraceCommand {
  std::vector<std::string> urls;
  /// Where to serve echo.
  std::vector<std::string> listen_urls;
  TraceFormat format = TraceFormat::text;
  /// Empty: standard output.
  std::string output_path;
  std::optional<double> seconds;
  bool all_layers = false;
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. Throws UsageError and RunError.
int run_trace(const TraceCommand& command);

}  // namespace weir_tool
