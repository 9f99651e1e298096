// TLS between a server and a client of its own, and one who must not trust it.
#pragma once

#include <weir/weir.h>
#include <functional>
#include <string_view>

namespace weir_tool {

/// Calls `passed(what, details)` for each thing shown. It has a loop of its own: what is encrypted differs
/// from run to run, and the rest of a simulation should not.
/// Throws RunError if something else came out than has to, and weir::UnsupportedOperationError in a build
/// without TLS.
void show_tls(weir::BackendKind backend,
              const std::function<void(std::string_view what, std::string_view details)>& passed);

}  // namespace weir_tool
