// Counts what goes through operator new. A program that links counted_new.cpp has both replaced.
#pragma once

#include <cstddef>

namespace bench {

struct HeapCount {
  std::size_t allocations = 0;  // since the program began
  std::size_t live_blocks = 0;
  std::size_t live_bytes = 0;  // as malloc rounds them up
};

/// Of all threads.
HeapCount heap_count() noexcept;

}  // namespace bench
