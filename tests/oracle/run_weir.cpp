// Runs the scenarios of the oracle on Weir and prints their traces: see README.md.
//
//     weir_oracle_test [--backend NAME] [--transport unix] [--certificates DIRECTORY] FILE...
//     weir_oracle_test --backend NAME --probe    fails if there is no such backend here

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runner.h"

namespace {

weir::BackendKind backend_named(std::string_view name) {
  using weir::BackendKind;
  for (const auto kind : {BackendKind::epoll, BackendKind::uring, BackendKind::simulated}) {
    if (name == weir::to_string(kind)) return kind;
  }
  throw std::invalid_argument("there is no backend " + std::string(name));
}

using Transports = weir::oracle::Runner::Transports;

void run_file(const std::string& file, weir::BackendKind backend, Transports transports,
              const std::string& certificates) {
  for (const weir::oracle::Scenario& scenario : weir::oracle::read_scenarios(file)) {
    std::printf("scenario %s\n", scenario.name.c_str());
    if ((scenario.requires_descriptors && backend == weir::BackendKind::simulated) ||
        (transports != Transports::tcp && !scenario.over_any_transport())) {
      std::printf("skipped\n");
      continue;
    }
    weir::oracle::Runner runner(scenario, backend, transports, certificates);
    runner.run();
    runner.trace().print();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  auto backend = weir::BackendKind::automatic;
  auto transports = Transports::tcp;
  std::string certificates;
  try {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i] == "--backend" && i + 1 < arguments.size()) {
        backend = backend_named(arguments[++i]);
      } else if (arguments[i] == "--transport" && i + 1 < arguments.size()) {
        if (arguments[++i] == "unix") transports = Transports::unix_sockets;
      } else if (arguments[i] == "--certificates" && i + 1 < arguments.size()) {
        certificates = arguments[++i];
      } else if (arguments[i] == "--probe") {
        const weir::EventLoop loop({.backend = backend});
      } else {
        run_file(arguments[i], backend, transports, certificates);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weir_oracle_test: %s\n", error.what());
    return 1;
  }
  return 0;
}
