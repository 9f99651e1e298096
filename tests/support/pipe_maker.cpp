#include "pipe_maker.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string_view>

#include "loop_support.h"
#include "temporary_directory.h"

namespace weir::test {
namespace {

std::string_view kind_name(PipeKind kind) {
  switch (kind) {
    case PipeKind::fifo: return "fifo_";
    case PipeKind::socket_pair: return "socket_pair_";
    case PipeKind::pipe:
    case PipeKind::simulated: break;
  }
  return "pipe_";
}

PipeEnds checked(PipeEnds ends) {
  if (ends.read_end < 0 || ends.write_end < 0) throw std::runtime_error("no pipe");
  return ends;
}

PipeEnds make_pipe() {
  std::array<int, 2> ends{-1, -1};
  static_cast<void>(::pipe2(ends.data(), O_CLOEXEC));
  return checked({ends[0], ends[1]});
}

PipeEnds make_socket_pair() {
  std::array<int, 2> ends{-1, -1};
  static_cast<void>(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
  return checked({ends[0], ends[1]});
}

PipeEnds make_fifo() {
  const std::string path = new_socket_path();
  if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("no FIFO");
  // The reader first, for a writer alone is refused, and not waiting, for there is no writer yet.
  const int read_end = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  return checked({read_end, ::open(path.c_str(), O_WRONLY | O_CLOEXEC)});
}

}  // namespace

std::string PipeMaker::name() const {
  std::string name(kind_name(kind));
  name += to_string(backend);
  if (protocol == ProtocolKind::buffered) name += "_buffered";
  return name;
}

PipeEnds PipeMaker::make(EventLoop& loop) const {
  switch (kind) {
    case PipeKind::pipe: return make_pipe();
    case PipeKind::fifo: return make_fifo();
    case PipeKind::socket_pair: return make_socket_pair();
    case PipeKind::simulated: break;
  }
  const SimulatedPipe pipe = simulated_pipe(loop);
  return {pipe.read_end, pipe.write_end};
}

std::vector<PipeMaker> pipe_makers() {
  std::vector<PipeMaker> makers = descriptor_pipe_makers();
  for (const BackendKind backend : backends_with_descriptors(false)) {
    for (const ProtocolKind protocol : {ProtocolKind::stream, ProtocolKind::buffered}) {
      makers.push_back({backend, PipeKind::simulated, protocol});
    }
  }
  return makers;
}

std::vector<PipeMaker> descriptor_pipe_makers() {
  std::vector<PipeMaker> makers;
  for (const BackendKind backend : backends_with_descriptors(true)) {
    for (const PipeKind kind : {PipeKind::pipe, PipeKind::fifo, PipeKind::socket_pair}) {
      for (const ProtocolKind protocol : {ProtocolKind::stream, ProtocolKind::buffered}) {
        makers.push_back({backend, kind, protocol});
      }
    }
  }
  return makers;
}

}  // namespace weir::test
