#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weir::test {

/// What a protocol was told, in order: "connection_made", "data_received:hello", "connection_lost".
using Calls = std::vector<std::string>;

/// The sequence of `names`, to compare with Recorder::calls.
template <class... Names>
Calls calls(const Names&... names) {
  return Calls{std::string(names)...};
}

inline constexpr std::size_t KiB = 1024;
inline constexpr std::size_t MiB = 1024 * KiB;

/// `size` bytes that differ from place to place, the same for the same seed.
std::string pattern(std::size_t size, unsigned seed = 1);

}  // namespace weir::test
