#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// Bytes, first in, first out, in one block that grows.
class ByteRing {
 public:
  std::size_t size() const noexcept { return size_; }

  void push(std::span<const std::byte> bytes) {
    reserve(size_ + bytes.size());
    const std::size_t end = wrapped(head_ + size_);
    const std::size_t straight = std::min(bytes.size(), block_.size() - end);
    std::copy_n(bytes.data(), straight, block_.data() + end);
    std::copy_n(bytes.data() + straight, bytes.size() - straight, block_.data());
    size_ += bytes.size();
  }

  /// Moves the first `into.size()` bytes, which there must be.
  void pop(std::span<std::byte> into) noexcept {
    const std::size_t straight = std::min(into.size(), block_.size() - head_);
    std::copy_n(block_.data() + head_, straight, into.data());
    std::copy_n(block_.data(), into.size() - straight, into.data() + straight);
    discard(into.size());
  }

  void discard(std::size_t count) noexcept {
    assert(count <= size_);
    head_ = wrapped(head_ + count);
    size_ -= count;
  }

 private:
  /// The block's size is a power of two, or none.
  std::size_t wrapped(std::size_t position) const noexcept {
    return block_.empty() ? 0 : position & (block_.size() - 1);
  }

  void reserve(std::size_t wanted) {
    if (wanted <= block_.size()) return;
    std::vector<std::byte> larger(std::bit_ceil(std::max(wanted, std::size_t{1024})));
    const std::size_t kept = size_;
    pop(std::span(larger).first(kept));
    block_ = std::move(larger);
    head_ = 0;
    size_ = kept;
  }

  std::vector<std::byte> block_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weir::inline v0::detail
