#pragma once

#include <weir/address.h>

#include <cstddef>
#include <memory>
#include <span>

#include "backend.h"
#include "chunk_pool.h"

namespace weir::inline v0::detail {

/// Datagrams waiting to be sent, in order, empty ones included. What is in it never moves.
///
/// Bytes are kept in pooled chunks. Empty, it owns none, but keeps what else max_datagrams of them need:
/// filling and emptying it over and over with no more than that allocates nothing.
class DatagramQueue {
 public:
  explicit DatagramQueue(ChunkPool& pool) noexcept : pool_(&pool) {}
  DatagramQueue(const DatagramQueue&) = delete;
  DatagramQueue& operator=(const DatagramQueue&) = delete;
  ~DatagramQueue();

  /// What a datagram of `length` bytes adds to size(): so that empty ones count, too. [D8]
  static constexpr std::size_t size_of(std::size_t length) noexcept { return length + 8; }

  std::size_t size() const noexcept { return size_; }
  std::size_t count() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }

  /// Copies `datagram`, its destination included, to the end.
  void append(const OutgoingDatagram& datagram);

  /// The first ones, as many as there are and fit. Returns how many.
  std::size_t peek(std::span<OutgoingDatagram> datagrams) const noexcept;
  /// Drops the first `count`.
  void consume(std::size_t count) noexcept;

  /// Empties it, but keeps the memory in place until it is destroyed: a kernel may be reading it. Only
  /// once; nothing may be appended after that.
  void retire() noexcept;

 private:
  struct Entry {
    Entry* next = nullptr;
    ConstBytes data{};
    Address destination{};
    bool has_destination = false;
  };

  std::unique_ptr<Entry> take_entry();
  ConstBytes copy(ConstBytes data);
  void push(Chunk* chunk) noexcept;
  void release_bytes(std::size_t length) noexcept;

  ChunkPool* pool_;
  Chunk* first_chunk_ = nullptr;
  Chunk* last_chunk_ = nullptr;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  Entry* free_ = nullptr;  ///< for reuse, with the memory of their destinations
  std::size_t free_count_ = 0;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weir::inline v0::detail
