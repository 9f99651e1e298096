#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0 {

/// How the simulated network of a loop behaves. The same options give the same run, event by event.
///
/// The network lives inside its loop: servers and clients of one loop reach each other at the usual
/// addresses ("127.0.0.1", "::1", "localhost"), and nothing else exists. Time is virtual: it stands
/// while callbacks run and jumps to the next event when everything waits.
struct SimulationOptions {
  std::uint64_t seed = 1;
  /// A segment is delivered this long after it was sent, drawn anew for each; order is kept.
  std::chrono::nanoseconds min_delay = std::chrono::microseconds(20);
  std::chrono::nanoseconds max_delay = std::chrono::microseconds(200);
  /// Sent bytes are cut into segments of one to this many bytes.
  std::size_t max_segment = std::size_t{64} * 1024;
  /// How many bytes one direction of a connection holds before its sender has to wait.
  std::size_t buffer_size = std::size_t{256} * 1024;
};

}  // namespace weir::inline v0
