// The load generator for a stream in one direction: sends pieces of `size` bytes over `connections`
// connections, as fast as they are taken, to a server that discards them, and prints one line of
// JSON on how much that was.
//
// A bare epoll loop on one thread. What counts is what the kernel took: after the warm-up its buffers
// are full, so it takes as much as the server receives.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "load_options.h"
#include "measure.h"

namespace {

using bench::cpu_time_ns;
using bench::load_failed;
using bench::now_ns;
using bench::to_ns;

class Load {
 public:
  explicit Load(const bench::LoadOptions& options)
      : options_(options), epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)), piece_(options.size) {
    for (std::size_t i = 0; i < options.connections; ++i) add_connection();
  }

  void run() {
    run_until(now_ns() + to_ns(options_.warm_up));
    sent_ = 0;
    const auto started = now_ns();
    const auto server_cpu = cpu_time_ns(options_.server_pid);
    run_until(started + to_ns(options_.duration));
    const auto seconds = static_cast<double>(now_ns() - started) / 1e9;
    const auto cpu_ms = static_cast<double>(cpu_time_ns(options_.server_pid) - server_cpu) / 1e6;
    if (sent_ == 0) load_failed("the server takes nothing", ETIMEDOUT);
    const auto mib = static_cast<double>(sent_) / (1 << 20);
    std::printf("{\"seconds\": %.4f, \"mib_per_second\": %.2f, \"server_cpu_ms_per_gib\": %.3f}\n",
                seconds, mib / seconds, cpu_ms / (mib / 1024));
  }

 private:
  void add_connection() {
    const int fd = bench::connect_to_server(options_);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) load_failed("epoll_ctl", errno);
  }

  void run_until(std::uint64_t deadline) {
    std::array<epoll_event, 64> events{};
    while (now_ns() < deadline) {
      const int count = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()),
                                     bench::stall_timeout_ms);
      if (count < 0) load_failed("epoll_wait", errno);
      if (count == 0) load_failed("the server takes no more", ETIMEDOUT);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.events != EPOLLOUT) load_failed("the server answers, or has closed", EPROTO);
        send(event.data.fd);
      }
    }
  }

  void send(int fd) {
    const ssize_t sent = ::send(fd, piece_.data(), piece_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) load_failed("send", errno);
    if (sent > 0) sent_ += static_cast<std::uint64_t>(sent);
  }

  const bench::LoadOptions options_;
  const int epoll_fd_;
  const std::vector<std::byte> piece_;
  std::uint64_t sent_ = 0;
};

}  // namespace

int main(int argc, char** argv) { Load(bench::parse_load_options(argc, argv)).run(); }
