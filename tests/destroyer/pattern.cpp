#include "pattern.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "choices.h"

namespace weir::destroyer {
namespace {

/// A prime, so that no size that anybody uses for a buffer is a multiple of it.
constexpr std::size_t period = 65'537;

/// Twice the same, so that a period is in one piece wherever it begins.
const std::array<std::byte, 2 * period>& table() {
  static const auto bytes = [] {
    std::array<std::byte, 2 * period> made{};
    Choices random(period);
    for (std::size_t i = 0; i < period; ++i) {
      made[i] = made[i + period] = static_cast<std::byte>(random.below(256));
    }
    return made;
  }();
  return bytes;
}

std::byte byte_of_number(std::uint32_t number, std::uint64_t offset) {
  return static_cast<std::byte>(number >> (8U * offset));
}

/// Calls `piece(place in the bytes, the bytes it should be)` for all behind the number.
template <class F>
bool for_each_piece(std::size_t from, std::size_t size, std::uint32_t number, std::uint64_t offset,
                    F piece) {
  while (from < size) {
    const std::size_t phase = (offset + from + std::uint64_t{number} * 7919) % period;
    const std::size_t count = std::min(size - from, period);
    if (!piece(from, std::span(table()).subspan(phase, count))) return false;
    from += count;
  }
  return true;
}

}  // namespace

void fill(std::span<std::byte> bytes, std::uint32_t number, std::uint64_t offset) {
  std::size_t at = 0;
  for (; at < bytes.size() && offset + at < number_size; ++at) {
    bytes[at] = byte_of_number(number, offset + at);
  }
  for_each_piece(at, bytes.size(), number, offset, [&](std::size_t place, auto piece) {
    std::memcpy(bytes.data() + place, piece.data(), piece.size());
    return true;
  });
}

bool fits(std::span<const std::byte> bytes, std::uint32_t number, std::uint64_t offset) {
  std::size_t at = 0;
  for (; at < bytes.size() && offset + at < number_size; ++at) {
    if (bytes[at] != byte_of_number(number, offset + at)) return false;
  }
  return for_each_piece(at, bytes.size(), number, offset, [&](std::size_t place, auto piece) {
    return std::memcmp(bytes.data() + place, piece.data(), piece.size()) == 0;
  });
}

std::uint32_t number_in(std::span<const std::byte, number_size> bytes) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < number_size; ++i) {
    number |= std::to_integer<std::uint32_t>(bytes[i]) << (8U * i);
  }
  return number;
}

}  // namespace weir::destroyer
