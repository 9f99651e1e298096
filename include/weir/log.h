#pragma once

#include <weir/callback.h>
#include <weir/export.h>

#include <cstdint>
#include <string_view>

namespace weir::inline v0 {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// The field's word for `level`: "warning".
WEIR_API std::string_view to_string(LogLevel level) noexcept;

using LogSink = UniqueFunction<void(LogLevel level, std::string_view text)>;

/// Replaces where log records go; an empty sink restores the default: a line on standard error for
/// warnings and errors. One sink per process. [C12]
///
/// Threads: any; the sink is called by one thread at a time and must not log itself.
WEIR_API void set_log_sink(LogSink sink);

}  // namespace weir::inline v0
