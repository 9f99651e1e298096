// Another program, run beside a loop: its input given, its output collected.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir_tool {

struct ProgramResult {
  /// True if it ended by itself, with exit code 0.
  bool succeeded = false;
  std::string output;
};

/// The path of `name` in $PATH, if it is there.
std::optional<std::string> find_program(std::string_view name);

/// Runs the program `arguments[0]` with `input`, at most 4096 bytes, as its standard input; the loop
/// goes on meanwhile. A program that takes longer than `limit` is killed.
/// Throws std::system_error if it cannot be started.
ProgramResult run_program(weir::EventLoop& loop, const std::vector<std::string>& arguments,
                          std::string_view input, std::chrono::nanoseconds limit);

}  // namespace weir_tool
