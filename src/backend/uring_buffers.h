#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

namespace weir::inline v0::detail {

/// The memory that the kernel receives into: a few large buffers, which it fills bit by bit where it can, else
/// many small ones, each for one receive.
class UringBuffers {
 public:
  enum class Fill : bool { once, bit_by_bit };

  explicit UringBuffers(Fill fill);
  UringBuffers(const UringBuffers&) = delete;
  UringBuffers& operator=(const UringBuffers&) = delete;
  ~UringBuffers();

  Fill fill() const noexcept { return fill_; }

  /// Names them to `ring`: those that nobody holds now, the others once they are released. The ring of before, if there
  /// was one, fills them no more.
  std::error_code offer_to(io_uring& ring) noexcept;

  /// What a completion that `flags` came with says was received, until release() is called with `*id`.
  std::span<std::byte> take(std::size_t size, std::uint32_t flags, std::uint16_t* id) noexcept;
  void release(std::uint16_t id) noexcept;

 private:
  struct Buffer {
    std::size_t filled = 0;
    std::uint32_t taken = 0;  ///< and not released
    bool kernels = true;      ///< may be filled further
  };
  std::byte* start_of(std::uint16_t id) const noexcept { return memory_ + std::size_t{id} * size_; }
  void offer(std::uint16_t id) noexcept;

  const Fill fill_;
  const std::size_t size_;     ///< of each
  std::vector<Buffer> state_;  ///< by id
  io_uring_buf_ring* entries_ = nullptr;
  std::byte* memory_ = nullptr;
};

}  // namespace weir::inline v0::detail
