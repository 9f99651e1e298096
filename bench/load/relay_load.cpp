// The load generator for relays: streams chunks from a source, through a relay, to a sink, over
// `connections` connections at once, and prints one line of JSON on what came through.
//
// Source and sink are one thread, a bare epoll loop. First it prints `listening PORT`: where the
// sink is. The relay is started then, to connect there; its process id is read from the standard
// input, and the source connects to the relay's own port, `--through`, as soon as that is open.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "measure.h"
#include "socket_address.h"

namespace {

using bench::cpu_time_ns;
using bench::now_ns;
using bench::to_ns;

struct Options {
  std::uint16_t through = 0;
  std::size_t connections = 1;
  std::size_t size = 100 * 1024;
  double duration = 1.0;  // seconds measured
  double warm_up = 0.2;   // seconds before the measurement
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "relay_load: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

class Load {
 public:
  explicit Load(const Options& options) : options_(options), chunk_(options.size, std::byte{'w'}) {
    if (::bind(listener_, bench::SocketAddress::loopback(0).get(), sizeof(sockaddr_in)) != 0 ||
        ::listen(listener_, SOMAXCONN) != 0) {
      fail("listen");
    }
    std::printf("listening %s\n", bench::SocketAddress::of(listener_).text().c_str());
    std::fflush(stdout);
  }

  void run() {
    if (std::scanf("%ld", &relay_pid_) != 1) fail("no process id");
    for (std::size_t i = 0; i < options_.connections; ++i) add_connection();
    run_until(now_ns() + to_ns(options_.warm_up));

    const auto started = now_ns();
    const auto relay_cpu = cpu_time_ns(relay_pid_);
    received_ = 0;
    run_until(started + to_ns(options_.duration));
    const auto seconds = static_cast<double>(now_ns() - started) / 1e9;
    const auto cpu_seconds = static_cast<double>(cpu_time_ns(relay_pid_) - relay_cpu) / 1e9;
    if (received_ == 0) {
      errno = ETIMEDOUT;
      fail("nothing came through");
    }
    const auto mib = static_cast<double>(received_) / (1 << 20);
    std::printf("{\"seconds\": %.4f, \"mib_per_second\": %.2f, \"relay_cpu_ms_per_gib\": %.3f}\n",
                seconds, mib / seconds, cpu_seconds * 1e3 / (mib / 1024));
  }

 private:
  static constexpr int stall_timeout_ms = 10'000;

  /// A connection to the relay, and the one the relay makes for it.
  void add_connection() {
    const int source = connect_to_relay();
    const int sink = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (sink < 0) fail("accept");
    watch(source, EPOLLOUT);
    watch(sink, EPOLLIN);
  }

  int connect_to_relay() {
    const auto address = bench::SocketAddress::loopback(options_.through);
    const auto deadline = now_ns() + to_ns(5);
    for (;;) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(fd, address.get(), address.size()) == 0) return fd;
      if (errno != ECONNREFUSED || now_ns() > deadline) fail("connect to the relay");
      ::close(fd);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // it is still starting
    }
  }

  void watch(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  }

  void run_until(std::uint64_t deadline) {
    std::array<epoll_event, 64> events{};
    while (now_ns() < deadline) {
      const int count =
          ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), stall_timeout_ms);
      if (count <= 0) {
        if (count == 0) errno = ETIMEDOUT;
        fail("the relay is stuck");
      }
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if ((event.events & EPOLLIN) != 0) {
          receive(event.data.fd);
        } else {
          send(event.data.fd);
        }
      }
    }
  }

  void send(int fd) {
    const ssize_t sent = ::send(fd, chunk_.data(), chunk_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) fail("send");
  }

  void receive(int fd) {
    const ssize_t size = ::recv(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) fail("recv");
    if (size == 0) fail("the relay closed a connection");
    received_ += static_cast<std::uint64_t>(size);
  }

  const Options options_;
  const int epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  const int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::vector<std::byte> chunk_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(256 * 1024);
  long relay_pid_ = 0;
  std::uint64_t received_ = 0;
};

[[noreturn]] void usage() {
  std::fprintf(stderr,
               "usage: relay_load --through PORT [--connections N] [--size BYTES]\n"
               "                  [--duration SECONDS] [--warm-up SECONDS]\n");
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) usage();
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    const auto number = std::strtoull(value, nullptr, 10);
    if (name == "--through")
      options.through = static_cast<std::uint16_t>(number);
    else if (name == "--connections")
      options.connections = number;
    else if (name == "--size")
      options.size = number;
    else if (name == "--duration")
      options.duration = std::strtod(value, nullptr);
    else if (name == "--warm-up")
      options.warm_up = std::strtod(value, nullptr);
    else
      usage();
  }
  if (options.through == 0 || options.connections * options.size == 0) usage();
  return options;
}

}  // namespace

int main(int argc, char** argv) { Load(parse(argc, argv)).run(); }
