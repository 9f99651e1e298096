// `weir connect`: standard input to a peer, the peer to standard output.
#pragma once

#include <weir/weir.h>
#include <string>

namespace weir_tool {

struct ConnectCommand {
  std::string url;
  /// How long the peer may be silent after the end of the input, where that cannot be told alone (TLS).
  double linger_seconds = 2;
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. Throws UsageError and RunError.
int run_connect(const ConnectCommand& command);

}  // namespace weir_tool
