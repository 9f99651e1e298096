// Each kind of transport once: what was sent through it, and what came out.
#pragma once

#include <weir/weir.h>
#include <functional>
#include <string_view>

namespace weir_tool {

/// Calls `passed(kind, details)` for each transport that this loop has.
/// Throws RunError if something else came out than has to.
void show_transports(
    weir::EventLoop& loop,
    const std::function<void(std::string_view kind, std::string_view details)>& passed);

}  // namespace weir_tool
