#pragma once

#include <weir/export.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0 {

class EventLoop;

/// How the simulated network of a loop behaves. The same options give the same run, event by event.
///
/// The network lives inside its loop: servers and clients of one loop reach each other at the usual
/// addresses ("127.0.0.1", "::1", "localhost") and by Unix names, which touch no file, and nothing else
/// exists. Time is virtual: it stands while callbacks run and jumps to the next event when everything
/// waits.
struct SimulationOptions {
  std::uint64_t seed = 1;
  /// A segment or datagram is delivered this long after it was sent, drawn anew for each; what one
  /// socket sends keeps its order.
  std::chrono::nanoseconds min_delay = std::chrono::microseconds(20);
  std::chrono::nanoseconds max_delay = std::chrono::microseconds(200);
  /// Sent bytes are cut into segments of one to this many bytes.
  std::size_t max_segment = std::size_t{64} * 1024;
  /// How many bytes one direction of a connection, or a pipe, holds before its sender has to wait; and
  /// about how many a datagram socket holds before more are lost, or, if it is a Unix one, have to wait.
  std::size_t buffer_size = std::size_t{256} * 1024;
};

/// The two ends of a pipe of a simulated loop. They are no descriptors: these numbers mean nothing
/// but to connect_read_pipe() and connect_write_pipe() of that loop.
struct SimulatedPipe {
  int read_end = -1;
  int write_end = -1;
};

/// A new pipe in the simulation of `loop`. The ends belong to the loop until a transport takes them;
/// one that none takes stays open until the loop closes.
///
/// Throws UnsupportedOperationError if the loop's backend is no simulation, WrongStateError if the loop
/// is closed. Threads: the loop's.
WEIR_API SimulatedPipe simulated_pipe(EventLoop& loop);

}  // namespace weir::inline v0
