// Heap allocations for each echoed datagram once the server is warm. There must be none: the program
// fails if there is one.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "counted_new.h"
#include "socket_address.h"

namespace {

constexpr std::size_t outstanding = 64;
constexpr std::size_t rounds = 200;

struct Echo : weir::DatagramProtocol {
  void connection_made(weir::DatagramTransport made) override { transport = made; }
  void datagram_received(std::span<const std::byte> data, const weir::Address& sender) override {
    transport.sendto(data, sender);
  }

  weir::DatagramTransport transport;
};

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// An echo server on Weir and a plain socket connected to it, in one thread.
class EchoInProcess {
 public:
  EchoInProcess() {
    const auto echo = loop_.run_until_complete(weir::create_datagram_endpoint<Echo>(
        loop_, {.local_addr = weir::LocalAddress{"127.0.0.1", 0}}));
    const auto port = echo.transport.get_extra_info<weir::Address>("sockname")->port();
    const auto address = bench::SocketAddress::loopback(port);
    if (::connect(client_, address.get(), address.size()) != 0) give_up("connect");
  }
  EchoInProcess(const EchoInProcess&) = delete;
  EchoInProcess& operator=(const EchoInProcess&) = delete;
  ~EchoInProcess() { ::close(client_); }

  /// Sends `outstanding` datagrams, and waits for as many answers.
  void exchange(std::span<std::byte> datagram) {
    for (std::size_t i = 0; i < outstanding; ++i) {
      if (::send(client_, datagram.data(), datagram.size(), 0) < 0) give_up("send");
    }
    for (std::size_t answers = 0; answers < outstanding;) {
      if (::recv(client_, datagram.data(), datagram.size(), MSG_DONTWAIT) >= 0) {
        ++answers;
      } else {
        loop_.run_once(std::chrono::milliseconds(1));
      }
    }
  }

 private:
  weir::EventLoop loop_;
  int client_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

std::size_t allocations_echoing(std::size_t size) {
  EchoInProcess echo;
  std::vector<std::byte> datagram(size);
  for (std::size_t round = 0; round < rounds; ++round) echo.exchange(datagram);
  const auto before = bench::heap_count().allocations;
  for (std::size_t round = 0; round < rounds; ++round) echo.exchange(datagram);
  return bench::heap_count().allocations - before;
}

}  // namespace

int main() {
  bool none = true;
  for (const std::size_t size : {std::size_t{64}, std::size_t{1024}}) {
    const auto allocations = allocations_echoing(size);
    constexpr auto datagrams = outstanding * rounds;
    std::printf("%zu bytes: %zu allocations in %zu datagrams, %.4f a datagram\n", size, allocations,
                datagrams, static_cast<double>(allocations) / static_cast<double>(datagrams));
    none = none && allocations == 0;
  }
  return none ? 0 : 1;
}
