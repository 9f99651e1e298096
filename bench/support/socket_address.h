// The address of a socket, for the programs that speak to the kernel directly.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace bench {

class SocketAddress {
 public:
  static SocketAddress loopback(std::uint16_t port) {
    SocketAddress address;
    auto& inet = address.as<sockaddr_in>();
    inet.sin_family = AF_INET;
    inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet.sin_port = htons(port);
    address.size_ = sizeof inet;
    return address;
  }

  /// A path that is too long is cut: the benchmarks choose short ones.
  static SocketAddress unix_path(const std::string& path) {
    SocketAddress address;
    auto& local = address.as<sockaddr_un>();
    local.sun_family = AF_UNIX;
    path.copy(local.sun_path, sizeof local.sun_path - 1);
    address.size_ = sizeof local;
    return address;
  }

  /// Where the socket `fd` is bound; of family 0 if `fd` is no socket.
  static SocketAddress of(int fd) {
    SocketAddress address;
    address.size_ = sizeof address.storage_;
    if (::getsockname(fd, address.get(), &address.size_) != 0) return {};
    return address;
  }

  int family() const { return storage_.ss_family; }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  std::uint16_t port() const { return ntohs(as<sockaddr_in>().sin_port); }

  /// The port, or the path.
  std::string text() const {
    return family() == AF_INET ? std::to_string(port()) : as<sockaddr_un>().sun_path;
  }

 private:
  template <class T>
  T& as() {
    return reinterpret_cast<T&>(storage_);
  }
  template <class T>
  const T& as() const {
    return reinterpret_cast<const T&>(storage_);
  }

  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace bench
