#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "epoll_backend.h"
#include "fd.h"
#include "simulated_fixture.h"

// A backend over the kernel, and what to try it with.
namespace weir::test_backend {

using detail::Fd;
using detail::PipeEnd;

struct Pair {
  Fd a;
  Fd b;
};

/// `a` reads what `b` writes.
inline Pair make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

inline Pair make_socket_pair(int type = SOCK_STREAM) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::runtime_error("no socket pair");
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

/// A directory of a test's own.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// Writes all of `text` to a descriptor that may block.
inline void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0) throw std::runtime_error("a test cannot write");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// What there is to read now.
inline std::string read_some(int descriptor) {
  std::string text(1 << 20, '\0');
  const int flags = ::fcntl(descriptor, F_GETFL);
  ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
  const ssize_t count = ::read(descriptor, text.data(), text.size());
  ::fcntl(descriptor, F_SETFL, flags);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

inline bool is_readable(int descriptor, std::chrono::milliseconds patience = {}) {
  pollfd watched{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, static_cast<int>(patience.count())) > 0;
}

/// "epoll", "uring", and "uring_without_..." for each thing that a kernel may lack; without io_uring just the first.
std::vector<std::string> kernel_backends();
/// A backend of that name.
std::unique_ptr<Backend> make_kernel_backend(const std::string& name);

inline std::string kernel_backend_name(const testing::TestParamInfo<std::string>& name) {
  return name.param;
}

class KernelBackendTest : public testing::TestWithParam<std::string> {
 protected:
  KernelBackendTest() : backend(make_kernel_backend(GetParam())) {}

  std::size_t turn(std::chrono::milliseconds patience = std::chrono::milliseconds(100)) {
    backend->wait(backend->now() + patience);
    return backend->dispatch();
  }
  void run_until(const std::function<bool()>& condition) {
    const TimePoint deadline = backend->now() + seconds(20);
    while (!condition()) {
      ASSERT_LT(backend->now(), deadline) << "the condition never holds";
      turn();
    }
  }
  /// Until there is nothing to do, and the kernel has nothing to tell. Fails if that never comes:
  /// something spins.
  void settle() {
    for (int turns = 0; turn(std::chrono::milliseconds(0)) > 0 || is_busy(); ++turns) {
      ASSERT_LT(turns, 10'000) << "something spins";
    }
  }
  bool is_busy() const {
    const int kernel = dynamic_cast<const detail::EpollBackend&>(*backend).kernel_descriptor();
    return backend->has_pending_events() || is_readable(kernel);
  }
  /// What was noted since the last call.
  Trace events() { return std::exchange(trace, {}); }

  User stream(std::string name, std::unique_ptr<StreamChannel> channel) {
    return User(std::move(name), trace, std::move(channel));
  }
  User pipe_end(std::string name, Fd descriptor, PipeEnd end) {
    auto channel = backend->adopt_pipe(descriptor.get(), end);
    EXPECT_TRUE(channel) << channel.error().message();
    static_cast<void>(descriptor.release());
    return User(std::move(name), trace, std::move(channel.value()));
  }

  std::unique_ptr<Backend> backend;
  Trace trace;
};

}  // namespace weir::test_backend
