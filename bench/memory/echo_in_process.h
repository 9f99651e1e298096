// An echo server on Weir and plain client sockets, in one thread: what the server allocates can be
// counted while nothing else runs.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <utility>

namespace bench {

struct Echo : weir::Protocol {
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }

  weir::Transport transport_;
};

[[noreturn]] inline void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// A client's end of a connection: a socket that does not block.
class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      give_up("connect");
    }
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&&) = delete;
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }

  std::size_t send(std::span<const std::byte> data) {
    return taken(::send(fd_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL), "send");
  }
  std::size_t receive(std::span<std::byte> data) {
    return taken(::recv(fd_, data.data(), data.size(), MSG_DONTWAIT), "recv");
  }

 private:
  static std::size_t taken(ssize_t result, const char* what) {
    if (result >= 0) return static_cast<std::size_t>(result);
    if (errno != EAGAIN) give_up(what);
    return 0;
  }

  int fd_;
};

class EchoInProcess {
 public:
  EchoInProcess() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    server_ = loop_.run_until_complete(weir::create_server<Echo>(loop_, "127.0.0.1", 0));
    port_ = server_.sockets().front().sockname.port();
  }

  Client connect() { return Client(port_); }

  /// Sends `message` from `client` and waits for as many bytes to come back.
  void exchange(Client& client, std::span<const std::byte> message, std::span<std::byte> answer) {
    std::size_t sent = 0;
    std::size_t received = 0;
    while (received < message.size()) {
      sent += client.send(message.subspan(sent));
      loop_.run_once(std::chrono::milliseconds(1));
      received += client.receive(answer);
    }
  }

 private:
  weir::EventLoop loop_;
  weir::Server server_;
  std::uint16_t port_ = 0;
};

}  // namespace bench
