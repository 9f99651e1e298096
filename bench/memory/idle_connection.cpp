// What an idle TCP connection of a Weir server takes of the heap, exactly: bytes and blocks that
// are still allocated, as malloc rounds them up, for each connection that was added and has echoed
// one message.

#include <array>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "counted_new.h"
#include "echo_in_process.h"

int main() {
  constexpr std::size_t few = 1'000;
  constexpr std::size_t many = 5'000;
  bench::EchoInProcess echo;
  std::vector<bench::Client> clients;
  clients.reserve(many);
  const std::array<std::byte, 1024> message{};
  std::array<std::byte, 1024> answer{};

  const auto heap_with = [&](std::size_t connections) {
    while (clients.size() < connections) {
      clients.push_back(echo.connect());
      echo.exchange(clients.back(), message, answer);
    }
    return bench::heap_count();
  };
  const auto before = heap_with(few);
  const auto after = heap_with(many);

  const auto each = [](std::size_t first, std::size_t last) {
    return static_cast<double>(last - first) / static_cast<double>(many - few);
  };
  std::printf("{\"bytes\": %.1f, \"blocks\": %.2f}\n", each(before.live_bytes, after.live_bytes),
              each(before.live_blocks, after.live_blocks));
}
