// Numbers that look random and are the same on every machine for the same seed, as the standard's are not.
#pragma once

#include <cstdint>

namespace weir_tool {

/// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31U);
  }
  /// From 0 to 1, but never 1.
  double fraction() { return static_cast<double>(next() >> 11U) * 0x1p-53; }
  /// From 1 to `most`.
  std::uint64_t up_to(std::uint64_t most) { return 1 + next() % most; }

 private:
  std::uint64_t state_;
};

/// The seed of the part `number` of something that has `seed`.
inline std::uint64_t seed_of_part(std::uint64_t seed, std::uint64_t number) {
  return Random(Random(seed).next() + number).next();
}

}  // namespace weir_tool
