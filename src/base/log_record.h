#pragma once

#include <weir/log.h>

#include <string_view>

namespace weir::inline v0::detail {

/// Hands a record to the process's sink. [C12] Never throws: a sink that does loses the record.
void log_record(LogLevel level, std::string_view text) noexcept;

}  // namespace weir::inline v0::detail
