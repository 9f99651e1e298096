#pragma once

#include <weir/buffer.h>

#include <cstddef>
#include <span>
#include <utility>

#include "chunk_pool.h"

namespace weir::inline v0::detail {

/// Bytes waiting to be sent, in order. What is in it never moves; an empty one owns no memory.
class ByteQueue {
 public:
  explicit ByteQueue(ChunkPool& pool) noexcept : pool_(&pool) {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue();

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Copies `bytes` to the end.
  void append(std::span<const std::byte> bytes);
  /// Keeps the bytes of `buffer` from `offset` on at the end, without copying.
  void append(Buffer buffer, std::size_t offset);

  /// The first pieces, as many as there are and fit. Returns how many.
  std::size_t peek(std::span<std::span<const std::byte>> pieces) const noexcept;
  /// What was consumed; frees it, and so calls the owners of Buffers, who may come back to the queue.
  class Consumed {
   public:
    Consumed(const Consumed&) = delete;
    Consumed& operator=(const Consumed&) = delete;
    ~Consumed() {
      while (first_ != nullptr) pool_.release(std::exchange(first_, first_->next));
    }

   private:
    friend class ByteQueue;
    Consumed(ChunkPool& pool, Chunk* first) noexcept : pool_(pool), first_(first) {}
    ChunkPool& pool_;
    Chunk* first_;
  };

  /// Drops the first `count` bytes; their memory goes with the result.
  Consumed consume(std::size_t count) noexcept;

  /// Empties it, but keeps the memory in place until it is destroyed: a kernel may be reading it. Only
  /// once; nothing may be appended after that.
  void retire() noexcept;

 private:
  void push(Chunk* chunk) noexcept;

  ChunkPool* pool_;
  Chunk* first_ = nullptr;
  Chunk* last_ = nullptr;  ///< null if there is none, and when retired
  std::size_t size_ = 0;
};

}  // namespace weir::inline v0::detail
