#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace weir::inline v0::detail::simulated {

/// A hash that is the same on every machine. Not for use against malice.
class Hash {
 public:
  void add(std::uint64_t value) noexcept {
    value_ = (value_ ^ value) * 0x9e3779b97f4a7c15;
    value_ ^= value_ >> 32;
  }
  void add(std::span<const std::byte> bytes) noexcept {
    add(bytes.size());
    const std::byte* next = bytes.data();
    const std::byte* const end = next + bytes.size();
    for (; end - next >= 8; next += 8) add(word(next, 8));
    if (next != end) add(word(next, static_cast<std::size_t>(end - next)));
  }
  std::uint64_t value() const noexcept { return value_; }

 private:
  /// The least significant byte first.
  static std::uint64_t word(const std::byte* bytes, std::size_t size) noexcept {
    std::uint64_t result = 0;
    std::memcpy(&result, bytes, size);
    if constexpr (std::endian::native == std::endian::big) result = __builtin_bswap64(result);
    return result;
  }

  std::uint64_t value_ = 0x2545f4914f6cdd1d;
};

}  // namespace weir::inline v0::detail::simulated
