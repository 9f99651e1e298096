// The destroyer, see tests/destroyer/, whose decisions are the bytes of the input: a program that opens, uses and
// destroys connections of every kind from within every callback, on the simulated backend, under the contract
// checker. What it ends with as a finding it explains by its last steps.

#include <weir/log.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "destroyer.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  weir::set_log_sink([](weir::LogLevel, std::string_view) {});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t most_steps = 3000;
  weir::destroyer::Journal journal("weir_destroyer_fuzz with this input");
  weir::destroyer::destroy({data, size}, journal, most_steps);
  return 0;
}
