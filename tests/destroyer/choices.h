#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::destroyer {

/// Where a program's decisions come from: a seed, which gives any number of them, or bytes, which end. So a
/// fuzzer and a seed drive the very same generator. Once the bytes are used up every choice is the first one.
class Choices {
 public:
  explicit Choices(std::uint64_t seed) noexcept : state_(seed) {}
  explicit Choices(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes), endless_(false) {}

  bool over() const noexcept { return !endless_ && bytes_.empty(); }

  /// 0 to `count` - 1.
  std::size_t below(std::size_t count) noexcept {
    if (count <= 1) return 0;
    if (endless_) return static_cast<std::size_t>(next() % count);
    std::uint64_t number = 0;
    for (std::size_t left = count - 1; left > 0; left >>= 8U) number = number << 8U | byte();
    return static_cast<std::size_t>(number % count);
  }
  /// `from` to `to`.
  std::size_t between(std::size_t from, std::size_t to) noexcept {
    return from + below(to - from + 1);
  }
  /// True `percent` times of a hundred; false once the choices are over.
  bool chance(std::size_t percent) noexcept { return below(100) >= 100 - percent; }

 private:
  /// splitmix64
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31U);
  }
  std::uint8_t byte() noexcept {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }

  std::uint64_t state_ = 0;
  std::span<const std::uint8_t> bytes_;
  bool endless_ = true;
};

/// Something to do, and how often compared with the others of its table.
template <class Action>
struct Weighted {
  std::size_t weight;
  Action action;
};

/// One of `table`, by their weights.
template <class Action, std::size_t Size>
Action pick(Choices& choices, const Weighted<Action> (&table)[Size]) {
  std::size_t all = 0;
  for (const auto& entry : table) all += entry.weight;
  std::size_t at = choices.below(all);
  for (const auto& entry : table) {
    if (at < entry.weight) return entry.action;
    at -= entry.weight;
  }
  return table[0].action;
}

}  // namespace weir::destroyer
