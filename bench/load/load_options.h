// What the load generators for streams are told, and how they reach the server.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "socket_address.h"

namespace bench {

constexpr int stall_timeout_ms = 10'000;  // then the server counts as stuck

struct LoadOptions {
  std::uint16_t port = 0;
  std::string unix_path;  // if not empty, a Unix socket there instead of a port
  std::size_t connections = 1;
  std::size_t size = 1024;
  std::size_t pipeline = 1;
  double duration = 1.0;       // seconds measured ...
  std::uint64_t requests = 0;  // ... or, if not 0, requests measured
  double warm_up = 0.2;        // seconds before the measurement
  long server_pid = 0;
  bool verify = false;     // compare every byte that comes back
  bool reconnect = false;  // a new connection for each request: then pipeline is 1
};

[[noreturn]] inline void load_failed(const char* what, int error) {
  std::fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, std::strerror(error));
  std::exit(1);
}

/// A new socket to the server.
inline int connect_to_server(const LoadOptions& options) {
  const bool tcp = options.unix_path.empty();
  const auto address =
      tcp ? SocketAddress::loopback(options.port) : SocketAddress::unix_path(options.unix_path);
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, address.get(), address.size()) != 0) load_failed("connect", errno);
  const int on = 1;
  if (tcp) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

[[noreturn]] inline void load_usage() {
  std::fprintf(stderr,
               "usage: %s {--port N | --unix PATH} [--connections N] [--size BYTES]\n"
               "       [--pipeline N] [--duration SECONDS | --requests N] [--warm-up SECONDS]\n"
               "       [--server-pid PID] [--verify] [--reconnect]\n",
               program_invocation_short_name);
  std::exit(2);
}

inline LoadOptions parse_load_options(int argc, char** argv) {
  LoadOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--verify" || name == "--reconnect") {
      (name == "--verify" ? options.verify : options.reconnect) = true;
      continue;
    }
    if (++i == argc) load_usage();
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
      load_usage();
  }
  if ((options.port == 0) == options.unix_path.empty() ||
      options.connections * options.size * options.pipeline == 0 ||
      (options.reconnect && options.pipeline != 1)) {
    load_usage();
  }
  return options;
}

/// Every connection takes a descriptor: take all that the system allows.
inline void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bench
