// Heap allocations for each echoed message once the connections are warm. There must be none: the
// program fails if there is one.

#include <cstddef>
#include <cstdio>
#include <vector>

#include "counted_new.h"
#include "echo_in_process.h"

namespace {

constexpr std::size_t connections = 10;
constexpr std::size_t rounds = 200;

/// Allocations while every connection echoes `size` bytes `rounds` times, after as much warming up.
std::size_t allocations_echoing(std::size_t size) {
  bench::EchoInProcess echo;
  std::vector<bench::Client> clients;
  for (std::size_t i = 0; i < connections; ++i) clients.push_back(echo.connect());
  const std::vector<std::byte> message(size);
  std::vector<std::byte> answer(size);

  const auto exchange_all = [&] {
    for (std::size_t round = 0; round < rounds; ++round) {
      for (auto& client : clients) echo.exchange(client, message, answer);
    }
  };
  exchange_all();
  const auto before = bench::heap_count().allocations;
  exchange_all();
  return bench::heap_count().allocations - before;
}

}  // namespace

int main() {
  bool none = true;
  for (const std::size_t size : {std::size_t{1024}, std::size_t{100 * 1024}}) {
    const auto allocations = allocations_echoing(size);
    constexpr auto messages = connections * rounds;
    std::printf("%zu bytes: %zu allocations in %zu messages, %.4f a message\n", size, allocations,
                messages, static_cast<double>(allocations) / static_cast<double>(messages));
    none = none && allocations == 0;
  }
  return none ? 0 : 1;
}
