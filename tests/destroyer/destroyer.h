#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "journal.h"

namespace weir::destroyer {

/// What a program of the destroyer came to.
struct Summary {
  std::size_t connections = 0;
  std::uint64_t hash = 0;
};

/// One program: at random, of `choices`, for at most `steps` steps. Ends the process if something is broken.
Summary destroy(BackendKind backend, std::uint64_t seed, Journal& journal, std::uint64_t steps);
Summary destroy(std::span<const std::uint8_t> choices, Journal& journal, std::uint64_t steps);

}  // namespace weir::destroyer
