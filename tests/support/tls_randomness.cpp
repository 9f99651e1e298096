// RAND_METHOD is the one way to take OpenSSL's randomness from it, and deprecated.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls_randomness.h"

#include <openssl/rand.h>

#include <cstdint>

namespace weir::test {
namespace {

std::uint64_t state = 1;

int numbers(unsigned char* bytes, int count) {
  for (int i = 0; i < count; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    bytes[i] = static_cast<unsigned char>(state >> 56U);
  }
  return 1;
}
int always() { return 1; }

const RAND_METHOD method{.seed = nullptr,
                         .bytes = &numbers,
                         .cleanup = nullptr,
                         .add = nullptr,
                         .pseudorand = &numbers,
                         .status = &always};

}  // namespace

void restart_randomness(std::uint64_t seed) {
  RAND_set_rand_method(&method);
  state = seed;
}

}  // namespace weir::test
