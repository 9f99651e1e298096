// `weir relay`: joins each connection to an endpoint with a connection of its own to another one.
#pragma once

#include <weir/weir.h>
#include <cstddef>
#include <string>

namespace weir_tool {

enum class StatusWish { automatic, always, never };

struct RelayCommand {
  std::string listen_url;
  std::string target_url;
  /// How many connections have a target at once; those that come after them wait. 0: any number.
  std::size_t max_connections = 0;
  double grace_seconds = 5;
  /// How long an end may be silent after the end of the other, where that cannot be told alone (TLS).
  double linger_seconds = 30;
  StatusWish status = StatusWish::automatic;
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. Throws UsageError and RunError.
int run_relay(const RelayCommand& command);

}  // namespace weir_tool
