#include "byte_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace weir::inline v0::detail {

ByteQueue::~ByteQueue() {
  while (first_ != nullptr) pool_->release(std::exchange(first_, first_->next));
}

void ByteQueue::push(Chunk* chunk) noexcept {
  (last_ != nullptr ? last_->next : first_) = chunk;
  last_ = chunk;
}

void ByteQueue::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (last_ == nullptr || last_->capacity == 0 || last_->room() == 0) {
      push(pool_->acquire(bytes.size()));
    }
    const std::size_t count = std::min(bytes.size(), last_->room());
    std::memcpy(last_->storage() + (last_->end - last_->storage()), bytes.data(), count);
    last_->end += count;
    size_ += count;
    bytes = bytes.subspan(count);
  }
}

void ByteQueue::append(Buffer buffer, std::size_t offset) {
  assert(offset < buffer.size());
  size_ += buffer.size() - offset;
  push(pool_->acquire(std::move(buffer), offset));
}

std::size_t ByteQueue::peek(std::span<std::span<const std::byte>> pieces) const noexcept {
  std::size_t count = 0;
  if (empty()) return 0;
  for (const Chunk* chunk = first_; chunk != nullptr && count < pieces.size();
       chunk = chunk->next) {
    pieces[count++] = {chunk->begin, chunk->end};
  }
  return count;
}

ByteQueue::Consumed ByteQueue::consume(std::size_t count) noexcept {
  assert(count <= size_);
  size_ -= count;
  Chunk* const first = first_;
  Chunk* last = nullptr;
  while (first_ != nullptr && count >= first_->size()) {
    count -= first_->size();
    last = std::exchange(first_, first_->next);
  }
  if (first_ != nullptr) {
    first_->begin += count;
  } else {
    last_ = nullptr;
  }
  if (last == nullptr) return {*pool_, nullptr};
  last->next = nullptr;
  return {*pool_, first};
}

void ByteQueue::retire() noexcept {
  size_ = 0;
  last_ = nullptr;
}

}  // namespace weir::inline v0::detail
