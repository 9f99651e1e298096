// weir_echo_rounds ROUNDS: connections that exchange ROUNDS messages each over epoll, for instructions.py to count what
// that takes.
#include <weir/weir.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "echo_connections.h"

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: weir_echo_rounds ROUNDS\n", stderr), 2;
  ::unsetenv("WEIR_CHECK");
  weir::EventLoop loop({.backend = weir::BackendKind::epoll});
  auto echo = weir::gate::echo_over_tcp(loop, 10, 1024);
  echo.exchange(std::strtoul(argv[1], nullptr, 10));
}
