#pragma once

#include <cstdint>

namespace weir::test {

/// From here on OpenSSL's random numbers are those of `seed`, so that a test says all of what happens.
void restart_randomness(std::uint64_t seed);

}  // namespace weir::test
