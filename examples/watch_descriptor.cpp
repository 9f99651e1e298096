// watch_descriptor: waits until a descriptor of its own, here one of a pair of sockets, is readable.
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

#include <array>
#include <iostream>
#include <string_view>

int main() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return 1;
  // These close them.
  const weir::Descriptor receiving(ends[0]);
  const weir::Descriptor sending(ends[1]);

  weir::EventLoop loop;
  loop.add_reader(receiving.get(), [&] {
    std::array<char, 100> buffer{};
    const auto size = read(receiving.get(), buffer.data(), buffer.size());
    if (size > 0)
      std::cout << "received: " << std::string_view(buffer.data(), static_cast<std::size_t>(size))
                << std::endl;
    // The loop only looks: what it watches is to be taken from it before it is closed.
    loop.remove_reader(receiving.get());
    loop.stop();
  });

  // Data from the other end, as if it came over the network.
  loop.call_soon([&] { [[maybe_unused]] const auto sent = write(sending.get(), "abc", 3); });
  loop.run_forever();
}
