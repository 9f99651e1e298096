#include "chunk_pool.h"

#include <memory>
#include <new>
#include <utility>

namespace weir::inline v0::detail {

ChunkPool::~ChunkPool() {
  for (Chunk* chunk : free_) {
    while (chunk != nullptr) {
      Chunk* next = chunk->next;
      std::destroy_at(chunk);
      ::operator delete(static_cast<void*>(chunk));
      chunk = next;
    }
  }
}

Chunk* ChunkPool::take(std::size_t size_class) {
  const std::size_t size = sizes[size_class];
  Chunk* chunk = free_[size_class];
  if (chunk != nullptr) {
    free_[size_class] = chunk->next;
    kept_bytes_ -= size;
  } else {
    chunk = ::new (::operator new(size)) Chunk;
    chunk->capacity = size - sizeof(Chunk);
  }
  chunk->next = nullptr;
  chunk->begin = chunk->end = chunk->storage();
  return chunk;
}

Chunk* ChunkPool::acquire(std::size_t bytes) {
  std::size_t size_class = 1;
  while (size_class + 1 < sizes.size() && sizes[size_class] - sizeof(Chunk) < bytes) ++size_class;
  return take(size_class);
}

Chunk* ChunkPool::acquire(Buffer owner, std::size_t offset) {
  Chunk* chunk = take(0);
  chunk->owner = std::move(owner);
  const auto bytes = chunk->owner.bytes().subspan(offset);
  chunk->begin = bytes.data();
  chunk->end = bytes.data() + bytes.size();
  return chunk;
}

void ChunkPool::release(Chunk* chunk) noexcept {
  chunk->owner = Buffer();
  const std::size_t size = sizeof(Chunk) + chunk->capacity;
  if (kept_bytes_ + size > max_kept_bytes) {
    std::destroy_at(chunk);
    ::operator delete(static_cast<void*>(chunk));
    return;
  }
  std::size_t size_class = 0;
  while (sizes[size_class] != size) ++size_class;
  chunk->next = std::exchange(free_[size_class], chunk);
  kept_bytes_ += size;
}

}  // namespace weir::inline v0::detail
