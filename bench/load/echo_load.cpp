// The load generator: keeps `pipeline` requests of `size` bytes under way on each of `connections`
// connections to an echo server, and prints one line of JSON on what came of it.
//
// A bare epoll loop on one thread, so that every server is measured with the same cheap client.
// A request's latency runs from the send that carried its first byte to the recv that brought the
// last byte of its answer.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "measure.h"
#include "measurement.h"
#include "socket_address.h"

namespace {

using bench::now_ns;

struct Options {
  std::uint16_t port = 0;
  std::string unix_path;  // if not empty, a Unix socket there instead of a port
  std::size_t connections = 1;
  std::size_t size = 1024;
  std::size_t pipeline = 1;
  double duration = 1.0;       // seconds measured ...
  std::uint64_t requests = 0;  // ... or, if not 0, requests measured
  double warm_up = 0.2;        // seconds before the measurement
  long server_pid = 0;
  bool verify = false;  // compare every byte that comes back
};

struct Connection {
  int fd = -1;
  std::size_t to_send = 0;             // bytes allowed to go and not yet taken by the kernel
  std::size_t sent = 0, received = 0;  // positions within the current request and answer
  std::vector<std::uint64_t> sent_at;  // a ring: when each request under way was started
  std::size_t oldest = 0, under_way = 0;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "echo_load: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

class Load {
 public:
  explicit Load(const Options& options) : options_(options), epoll_fd_(::epoll_create1(0)) {
    // The request over and over, so that any run of requests is one contiguous piece of it.
    payload_.resize(options.size * (options.pipeline + 1));
    for (std::size_t i = 0; i < payload_.size(); ++i) {
      payload_[i] = static_cast<std::byte>((i % options.size) * 131 >> 3);
    }
    for (std::size_t i = 0; i < options.connections; ++i) connect();
  }

  void run() {
    for (auto& connection : connections_) allow(*connection, options_.pipeline, now_ns());
    measurement_ = std::make_unique<bench::Measurement>(options_.server_pid);
    run_until(measurement_->started() + to_ns(options_.warm_up), 0);
    measurement_ = std::make_unique<bench::Measurement>(options_.server_pid);
    if (options_.requests != 0) {
      run_until(UINT64_MAX, options_.requests);
    } else {
      run_until(measurement_->started() + to_ns(options_.duration), 0);
    }
    measurement_->report(options_.size);
  }

 private:
  static std::uint64_t to_ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

  void connect() {
    auto connection = std::make_unique<Connection>();
    const auto address = options_.unix_path.empty()
                             ? bench::SocketAddress::loopback(options_.port)
                             : bench::SocketAddress::unix_path(options_.unix_path);
    connection->fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    connection->sent_at.resize(options_.pipeline);
    if (::connect(connection->fd, address.get(), address.size()) != 0) fail("connect");
    const int on = 1;
    if (address.family() == AF_INET) {
      ::setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = connection.get();
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, connection->fd, &event);
    connections_.push_back(std::move(connection));
  }

  void run_until(std::uint64_t deadline, std::uint64_t requests) {
    std::array<epoll_event, 1024> events{};
    while (now_ns() < deadline && (requests == 0 || measurement_->total() < requests)) {
      const int count =
          ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), stall_timeout_ms);
      if (count < 0) fail("epoll_wait");
      if (count == 0) {
        errno = ETIMEDOUT;
        fail("the server answers no more");
      }
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        if ((event.events & EPOLLOUT) != 0) send(connection);
        receive(connection);
      }
    }
  }

  /// Lets `requests` more requests go.
  void allow(Connection& connection, std::size_t requests, std::uint64_t now) {
    for (std::size_t i = 0; i < requests; ++i) {
      connection.sent_at[(connection.oldest + connection.under_way++) % options_.pipeline] = now;
    }
    connection.to_send += requests * options_.size;
    send(connection);
  }

  void send(Connection& connection) {
    while (connection.to_send > 0) {
      const ssize_t sent = ::send(connection.fd, payload_.data() + connection.sent,
                                  connection.to_send, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) fail("send");
      connection.to_send -= static_cast<std::size_t>(sent);
      connection.sent = (connection.sent + static_cast<std::size_t>(sent)) % options_.size;
    }
  }

  void receive(Connection& connection) {
    for (;;) {
      const ssize_t received = ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (received < 0 && errno == EAGAIN) return;
      if (received < 0) fail("recv");
      if (received == 0) fail("the server closed a connection");
      const auto size = static_cast<std::size_t>(received);
      if (options_.verify) verify(connection, size);
      on_received(connection, size);
      if (size < buffer_.size()) return;
    }
  }

  void on_received(Connection& connection, std::size_t size) {
    connection.received += size;
    const std::size_t answers = connection.received / options_.size;
    connection.received %= options_.size;
    const std::size_t bytes_under_way = connection.under_way * options_.size - connection.to_send;
    if (answers * options_.size + connection.received > bytes_under_way) {
      errno = EPROTO;
      fail("the server sent more than it got");
    }
    if (answers == 0) return;
    const auto now = now_ns();
    for (std::size_t i = 0; i < answers; ++i) {
      measurement_->add(now - connection.sent_at[connection.oldest]);
      connection.oldest = (connection.oldest + 1) % options_.pipeline;
    }
    connection.under_way -= answers;
    allow(connection, answers, now);
  }

  void verify(const Connection& connection, std::size_t size) const {
    for (std::size_t done = 0; done < size;) {
      const std::size_t at = (connection.received + done) % options_.size;
      const std::size_t part = std::min(size - done, options_.size - at);
      if (std::memcmp(buffer_.data() + done, payload_.data() + at, part) != 0) {
        errno = EPROTO;
        fail("the server sent other bytes than it got");
      }
      done += part;
    }
  }

  static constexpr int stall_timeout_ms = 10'000;

  const Options options_;
  const int epoll_fd_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(256 * 1024);
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<bench::Measurement> measurement_;
};

[[noreturn]] void usage() {
  std::fprintf(stderr,
               "usage: echo_load {--port N | --unix PATH} [--connections N] [--size BYTES]\n"
               "                 [--pipeline N] [--duration SECONDS | --requests N]\n"
               "                 [--warm-up SECONDS] [--server-pid PID] [--verify]\n");
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--verify") {
      options.verify = true;
      continue;
    }
    if (++i == argc) usage();
    const char* value = argv[i];
    const auto number = std::strtoull(value, nullptr, 10);
    if (name == "--port")
      options.port = static_cast<std::uint16_t>(number);
    else if (name == "--unix")
      options.unix_path = value;
    else if (name == "--connections")
      options.connections = number;
    else if (name == "--size")
      options.size = number;
    else if (name == "--pipeline")
      options.pipeline = number;
    else if (name == "--duration")
      options.duration = std::strtod(value, nullptr);
    else if (name == "--requests")
      options.requests = number;
    else if (name == "--warm-up")
      options.warm_up = std::strtod(value, nullptr);
    else if (name == "--server-pid")
      options.server_pid = static_cast<long>(number);
    else
      usage();
  }
  if ((options.port == 0) == options.unix_path.empty() ||
      options.connections * options.size * options.pipeline == 0) {
    usage();
  }
  return options;
}

/// Every connection takes a descriptor: take all that the system allows.
void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  raise_descriptor_limit();
  Load(options).run();
}
