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

/// Runs the program `arguments[0]`, found in $PATH, with `input` as its standard input and without its
/// standard error; the loop goes on meanwhile. One that takes longer than `limit` is killed. Nothing if
/// it cannot be started.
std::optional<ProgramResult> run_program(weir::EventLoop& loop,
                                         const std::vector<std::string>& arguments,
                                         std::string_view input, std::chrono::nanoseconds limit);

}  // namespace weir_tool
