#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "backend.h"

namespace weir::inline v0::detail {

/// Copies of datagrams that were received, but not taken.
class HeldDatagrams {
 public:
  explicit HeldDatagrams(std::span<const ReceivedDatagram> datagrams)
      : datagrams_(datagrams.begin(), datagrams.end()) {
    std::size_t size = 0;
    for (const ReceivedDatagram& datagram : datagrams_) size += datagram.data.size();
    bytes_.reserve(size);  // and so nothing moves
    for (ReceivedDatagram& datagram : datagrams_) {
      const ConstBytes from =
          std::exchange(datagram.data, {bytes_.data() + bytes_.size(), datagram.data.size()});
      bytes_.insert(bytes_.end(), from.begin(), from.end());
    }
  }

  std::span<const ReceivedDatagram> rest() const noexcept {
    return std::span(datagrams_).subspan(taken_);
  }
  void taken(std::size_t count) noexcept { taken_ += count; }

 private:
  std::vector<ReceivedDatagram> datagrams_;
  std::vector<std::byte> bytes_;
  std::size_t taken_ = 0;
};

}  // namespace weir::inline v0::detail
