// What every echo server of the comparison does alike, whatever library it is written on: it takes
// `--port N` (TCP or UDP, on the loopback) or `--unix PATH`, and what else it knows of the options,
// tells on its standard output where it listens, and ends by SIGTERM's default action.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

struct ServerOptions {
  std::uint16_t port = 0;   // 0: any free one
  std::string unix_path;    // if not empty, a Unix socket there instead of a port
  bool discard = false;     // what comes, instead of echoing it
  bool usual = false;       // the peer's everyday style instead of its best
  bool coroutines = false;  // the peer's coroutines instead of its callbacks
  std::string backend;      // of Weir; if empty, what it takes by itself
  unsigned long threads = 1;
  unsigned long hashes = 0;  // of each message, before it is echoed
};

inline ServerOptions parse_server_options(int argc, char** argv) {
  ServerOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--port" && i + 1 < argc) {
      options.port = static_cast<std::uint16_t>(std::strtoul(argv[++i], nullptr, 10));
    } else if (argument == "--unix" && i + 1 < argc) {
      options.unix_path = argv[++i];
    } else if (argument == "--threads" && i + 1 < argc) {
      options.threads = std::strtoul(argv[++i], nullptr, 10);
    } else if (argument == "--hashes" && i + 1 < argc) {
      options.hashes = std::strtoul(argv[++i], nullptr, 10);
    } else if (argument == "--discard") {
      options.discard = true;
    } else if (argument == "--usual") {
      options.usual = true;
    } else if (argument == "--coroutines") {
      options.coroutines = true;
    } else if (argument == "--backend" && i + 1 < argc) {
      options.backend = argv[++i];
    } else {
      std::fprintf(stderr,
                   "usage: %s [--port N | --unix PATH] [--discard] [--usual] [--coroutines]\n"
                   "       [--backend NAME] [--threads N] [--hashes N]\n",
                   argv[0]);
      std::exit(2);
    }
  }
  return options;
}

inline void announce(const std::string& where) {
  std::printf("listening %s\n", where.c_str());
  std::fflush(stdout);
}
inline void announce(unsigned port) { announce(std::to_string(port)); }

[[noreturn]] inline void fail(const char* what, const char* why) {
  std::fprintf(stderr, "%s: %s\n", what, why);
  std::exit(1);
}

}  // namespace bench
