// Faults at their times, as the lines of a script say. The grammar is in docs/chaos.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faults.h"

namespace weir_tool {

/// One fault, and of what it is one.
struct ScriptLine {
  std::optional<std::uint64_t> connection{};  // unset: of all
  std::optional<Direction> direction{};       // unset: of both
  TimedFault fault;
};

/// Throws UsageError with what is wrong and what would be right. Nothing for a text that says nothing.
std::optional<ScriptLine> parse_script_line(std::string_view text);

/// Throws UsageError, which names the line, and RunError if the file cannot be read.
std::vector<ScriptLine> read_script(const std::string& path);

/// What `script` has for one direction of a connection, in the order of time.
std::vector<TimedFault> faults_of(const std::vector<ScriptLine>& script, std::uint64_t connection,
                                  Direction direction);

}  // namespace weir_tool
