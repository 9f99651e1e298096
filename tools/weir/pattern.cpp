#include "pattern.h"

#include <algorithm>
#include <cstring>

namespace weir_tool {

Pattern::Pattern(std::size_t longest) : longest_(longest), bytes_(period + longest) {
  std::uint32_t state = 0x9E3779B9U;
  for (std::size_t index = 0; index < bytes_.size(); ++index) {
    state = state * 1664525U + 1013904223U;
    bytes_[index] = index < period ? static_cast<std::byte>(state >> 24U) : bytes_[index - period];
  }
}

std::span<const std::byte> Pattern::at(std::uint64_t offset, std::size_t size) const {
  return std::span(bytes_).subspan(static_cast<std::size_t>(offset % period), size);
}

std::optional<std::size_t> Pattern::mismatch(std::uint64_t offset,
                                             std::span<const std::byte> data) const {
  for (std::size_t done = 0; done < data.size();) {
    const auto piece = data.subspan(done, std::min(data.size() - done, longest_));
    const auto wanted = at(offset + done, piece.size());
    if (std::memcmp(piece.data(), wanted.data(), piece.size()) != 0) {
      const auto differs = std::mismatch(piece.begin(), piece.end(), wanted.begin()).first;
      return done + static_cast<std::size_t>(differs - piece.begin());
    }
    done += piece.size();
  }
  return std::nullopt;
}

}  // namespace weir_tool
