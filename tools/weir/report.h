// What a load came to: for people, and as JSON for programs.
#pragma once

#include <string>
#include <string_view>

#include "load.h"
#include "terminal.h"

namespace weir_tool {

/// The figures and the latency histogram, as several lines.
std::string load_report(const LoadResult& result, const Terminal& terminal);

/// One line that fits the terminal: how far it is.
std::string progress_line(const LoadOptions& options, const LoadResult& so_far);

/// Times are in microseconds, in fields that end in _us.
std::string load_json(const LoadOptions& options, const LoadResult& result,
                      std::string_view backend);

}  // namespace weir_tool
