#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weir::destroyer {

class StreamEnd;

/// What one end of a connection writes. Its bytes say which stream they are of, the first four with its number,
/// and where in it, so that one that is lost, doubled, changed or out of order is found.
struct Stream {
  std::uint32_t number = 0;
  StreamEnd* writer = nullptr;
  StreamEnd* reader = nullptr;  ///< once that has seen the number
  std::uint64_t written =
      0;  ///< at the most: of what is written while closing, some may be dropped
  std::uint64_t certain = 0;  ///< at the least
  std::uint64_t received = 0;
  bool cut = false;  ///< the writer has not closed in order, so that what it wrote may be lost
};

/// Puts the bytes of stream `number` from `offset` on in `bytes`.
void fill(std::span<std::byte> bytes, std::uint32_t number, std::uint64_t offset);
/// Whether `bytes` are those.
bool fits(std::span<const std::byte> bytes, std::uint32_t number, std::uint64_t offset);

constexpr std::size_t number_size = 4;
std::uint32_t number_in(std::span<const std::byte, number_size> bytes);

}  // namespace weir::destroyer
