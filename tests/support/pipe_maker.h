#pragma once

#include <weir/weir.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "recorder.h"

namespace weir::test {

/// What a pipe is: of the system, one with a name, a pair of sockets, or one of the simulation.
enum class PipeKind : std::uint8_t { pipe, fifo, socket_pair, simulated };

/// Both ends, as connect_read_pipe() and connect_write_pipe() take them.
struct PipeEnds {
  int read_end = -1;
  int write_end = -1;
};

/// One way to have a pipe: which backend, which kind of pipe, and which kind of protocol reads it.
struct PipeMaker {
  BackendKind backend = BackendKind::automatic;
  PipeKind kind = PipeKind::pipe;
  ProtocolKind protocol = ProtocolKind::stream;

  /// "fifo_epoll", "pipe_simulated_buffered".
  std::string name() const;

  /// True if the ends are descriptors of the system.
  bool has_descriptors() const { return kind != PipeKind::simulated; }

  /// A new pipe, whose ends are the caller's.
  PipeEnds make(EventLoop& loop) const;

  friend void PrintTo(const PipeMaker& maker, std::ostream* out) { *out << maker.name(); }
};

/// Every maker, or those whose ends are descriptors.
std::vector<PipeMaker> pipe_makers();
std::vector<PipeMaker> descriptor_pipe_makers();

}  // namespace weir::test
