// The bytes the load generator sends: every position of every connection has its own neighbourhood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weir_tool {

/// An endless stream of bytes that look random and repeat only after 65,521: a lost, doubled or
/// moved byte makes what follows differ.
class Pattern {
 public:
  /// `longest` bytes can be had in one piece.
  explicit Pattern(std::size_t longest);

  std::span<const std::byte> at(std::uint64_t offset, std::size_t size) const;

  /// Where `data` first differs from the stream at `offset`, counted from its beginning.
  std::optional<std::size_t> mismatch(std::uint64_t offset, std::span<const std::byte> data) const;

  std::size_t longest() const { return longest_; }

 private:
  static constexpr std::size_t period = 65521;  // a prime: no message size divides it

  std::size_t longest_;
  std::vector<std::byte> bytes_;
};

}  // namespace weir_tool
