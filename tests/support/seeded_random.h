#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace weir::test {

/// Choices that can be made again: prints its seed, and takes that of WEIR_TEST_SEED if there is one.
class SeededRandom {
 public:
  SeededRandom() {
    const char* given = std::getenv("WEIR_TEST_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
    std::cout << "[     SEED ] WEIR_TEST_SEED=" << seed << '\n';
    engine_.seed(seed);
  }

  /// A number from 0 to `most`.
  std::size_t up_to(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most)(engine_);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace weir::test
