#include "counted_new.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> allocations, live_blocks, live_bytes;

void* counted(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  ++allocations;
  ++live_blocks;
  live_bytes += ::malloc_usable_size(block);
  return block;
}

void release(void* block) noexcept {
  if (block == nullptr) return;
  --live_blocks;
  live_bytes -= ::malloc_usable_size(block);
  std::free(block);
}

}  // namespace

bench::HeapCount bench::heap_count() noexcept {
  return {.allocations = allocations, .live_blocks = live_blocks, .live_bytes = live_bytes};
}

// The array and nothrow forms end up here by default.
void* operator new(std::size_t size) { return counted(std::malloc(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(step, (size + step - 1) / step * step));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }
