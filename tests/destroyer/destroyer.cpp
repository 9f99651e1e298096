#include "destroyer.h"

#include <string>

#include "choices.h"
#include "files.h"
#include "tls_contexts.h"
#include "world.h"

namespace weir::destroyer {
namespace {

Summary run(BackendKind backend, Choices& choices, Journal& journal, std::uint64_t steps) {
  restart_tls_randomness();
  const std::size_t before = open_descriptors();
  Summary summary;
  {
    World world(backend, choices, journal, steps);
    world.run();
    summary.connections = world.connections();
  }
  const std::size_t after = open_descriptors();
  if (after != before) {
    journal.broken(std::to_string(after) + " descriptors are open, " + std::to_string(before) +
                   " were at the beginning");
  }
  summary.hash = journal.hash();
  return summary;
}

}  // namespace

Summary destroy(BackendKind backend, std::uint64_t seed, Journal& journal, std::uint64_t steps) {
  Choices choices(seed);
  return run(backend, choices, journal, steps);
}

Summary destroy(std::span<const std::uint8_t> bytes, Journal& journal, std::uint64_t steps) {
  Choices choices(bytes);
  return run(BackendKind::simulated, choices, journal, steps);
}

}  // namespace weir::destroyer
