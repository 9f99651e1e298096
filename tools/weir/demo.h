// `weir demo`: what the library does, to be seen in a few seconds.
#pragma once

#include <weir/weir.h>

namespace weir_tool {

struct DemoCommand {
  weir::BackendKind backend = weir::BackendKind::automatic;
};

/// Returns the exit code. Throws RunError.
int run_demo(const DemoCommand& command);

}  // namespace weir_tool
