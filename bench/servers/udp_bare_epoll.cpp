// The yardstick for datagrams: a UDP echo server with nothing between it and the kernel.
//
// One socket in one epoll; recvmmsg takes up to 64 datagrams a call, and the same message headers
// go back by sendmmsg. What the kernel refuses then is lost, as UDP may.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

#include "server_options.h"
#include "socket_address.h"

namespace {

constexpr std::size_t batch = 64;
constexpr std::size_t largest_datagram = 64 * 1024;
// Not a power of two: the first bytes of all datagrams would share one set of the cache.
constexpr std::size_t stride = largest_datagram + 192;

class Batch {
 public:
  Batch() {
    for (std::size_t i = 0; i < batch; ++i) {
      pieces_[i].iov_base = buffer_.get() + i * stride;
      auto& header = messages_[i].msg_hdr;
      header.msg_name = &senders_[i];
      header.msg_iov = &pieces_[i];
      header.msg_iovlen = 1;
    }
    offer(batch);
  }

  /// Echoes what is there; returns false when there is nothing more.
  bool echo(int fd) {
    const int received = ::recvmmsg(fd, messages_.data(), batch, MSG_DONTWAIT, nullptr);
    if (received <= 0) return false;
    const auto count = static_cast<unsigned>(received);
    for (unsigned i = 0; i < count; ++i) pieces_[i].iov_len = messages_[i].msg_len;
    for (unsigned done = 0; done < count;) {
      const int sent = ::sendmmsg(fd, &messages_[done], count - done, MSG_DONTWAIT);
      if (sent <= 0) break;
      done += static_cast<unsigned>(sent);
    }
    offer(count);
    return count == batch;
  }

 private:
  void offer(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      messages_[i].msg_hdr.msg_namelen = sizeof senders_[i];
      pieces_[i].iov_len = largest_datagram;
    }
  }

  std::unique_ptr<std::byte[]> buffer_{new std::byte[batch * stride]};
  std::array<sockaddr_in, batch> senders_{};
  std::array<iovec, batch> pieces_{};
  std::array<mmsghdr, batch> messages_{};
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto address = bench::SocketAddress::loopback(options.port);
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  if (::bind(fd, address.get(), address.size()) != 0 ||
      ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
    bench::fail("bind", std::strerror(errno));
  }
  bench::announce(bench::SocketAddress::of(fd).text());

  Batch datagrams;
  for (;;) {
    if (::epoll_wait(epoll_fd, &event, 1, -1) <= 0) continue;
    while (datagrams.echo(fd)) {
    }
  }
}
