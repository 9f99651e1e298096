#pragma once

#include <weir/buffer.h>

#include <array>
#include <cstddef>

namespace weir::inline v0::detail {

/// A piece of a ByteQueue: bytes of its own behind the header, or the bytes of a user's Buffer.
struct Chunk {
  Chunk* next = nullptr;
  const std::byte* begin = nullptr;  ///< the first byte not sent
  const std::byte* end = nullptr;    ///< one past the last byte filled
  std::size_t capacity = 0;          ///< bytes behind this header
  Buffer owner{};

  std::byte* storage() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  std::size_t size() const noexcept { return static_cast<std::size_t>(end - begin); }
  std::size_t room() noexcept { return static_cast<std::size_t>(storage() + capacity - end); }
};

/// Chunks of a few sizes for all queues of a loop, so that a busy connection does not allocate.
class ChunkPool {
 public:
  ChunkPool() noexcept = default;
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  /// The room in a chunk of the largest size: enough for any UDP datagram in one piece.
  static constexpr std::size_t largest_room = std::size_t{64} * 1024;

  /// An empty chunk with room for `bytes`, or for `largest_room` if they are more.
  Chunk* acquire(std::size_t bytes);
  /// A chunk with no room of its own, for the bytes of `owner` from `offset` on.
  Chunk* acquire(Buffer owner, std::size_t offset);
  void release(Chunk* chunk) noexcept;

 private:
  /// Whole chunks, header included. The first is for a Buffer: header only.
  static constexpr std::array<std::size_t, 4> sizes = {sizeof(Chunk), 4096, 16384,
                                                       sizeof(Chunk) + largest_room};
  /// Kept for reuse, all sizes together; more goes back to the heap.
  static constexpr std::size_t max_kept_bytes = std::size_t{8} * 1024 * 1024;

  Chunk* take(std::size_t size_class);

  std::array<Chunk*, sizes.size()> free_{};
  std::size_t kept_bytes_ = 0;
};

}  // namespace weir::inline v0::detail
