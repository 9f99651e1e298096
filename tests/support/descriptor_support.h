#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace weir::test {

/// A descriptor of a test's own, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }
  void reset(int descriptor = -1) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = descriptor;
  }

 private:
  int descriptor_;
};

/// True if `descriptor` is open, as a caller finds one that stayed his.
inline bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

inline void send(int descriptor, std::string_view text) {
  if (::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL) < 0) {
    throw std::runtime_error("a test cannot send");
  }
}

/// All that is there to read now: a test that leaves some behind waits for a peer that waits for room.
inline std::string receive(int descriptor) {
  std::string text;
  std::string part(65536, '\0');
  ssize_t size = 0;
  while ((size = ::recv(descriptor, part.data(), part.size(), MSG_DONTWAIT)) > 0) {
    text.append(part, 0, static_cast<std::size_t>(size));
  }
  return text;
}

/// Sends until there is no room.
inline void fill(int descriptor) {
  const std::string chunk(65536, 'x');
  while (::send(descriptor, chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
}

/// Two connected stream sockets.
class SocketPair {
 public:
  SocketPair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
      throw std::runtime_error("no socket pair");
    }
    a_.reset(ends[0]);
    b_.reset(ends[1]);
  }
  SocketPair(int a, int b) : a_(a), b_(b) {}

  int a() const { return a_.get(); }
  int b() const { return b_.get(); }
  void send_to_a(std::string_view text) const { send(b(), text); }
  void send_to_b(std::string_view text) const { send(a(), text); }
  void close_a() { a_.reset(); }
  void close_b() { b_.reset(); }
  int release_a() { return a_.release(); }
  int release_b() { return b_.release(); }

  /// Gives b the number `number`, which is free.
  void move_b_to(int number) {
    if (b() == number) return;
    if (a() == number) a_.reset(dup(a()));
    if (dup3(b(), number, O_CLOEXEC) < 0) throw std::runtime_error("the number cannot be used");
    b_.reset(number);
  }

 private:
  Descriptor a_;
  Descriptor b_;
};

}  // namespace weir::test
