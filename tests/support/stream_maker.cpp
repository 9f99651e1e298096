#include "stream_maker.h"

#include <algorithm>
#include <iterator>

namespace weir::test {

std::vector<BackendKind> backends() { return {BackendKind::epoll, BackendKind::simulated}; }

LoopOptions loop_options(BackendKind backend) {
  return {.backend = backend, .simulation = {.buffer_size = 64 * KiB}};
}

std::string StreamMaker::name() const {
  std::string name = kind == StreamKind::tcp ? "tcp_" : "unix_";
  name += to_string(backend);
  if (protocol == ProtocolKind::buffered) name += "_buffered";
  return name;
}

LoopOptions StreamMaker::loop_options() const { return test::loop_options(backend); }

std::vector<StreamMaker> stream_makers() {
  std::vector<StreamMaker> makers = stream_makers(ProtocolKind::stream);
  std::ranges::copy(stream_makers(ProtocolKind::buffered), std::back_inserter(makers));
  return makers;
}

std::vector<StreamMaker> stream_makers(ProtocolKind protocol) {
  std::vector<StreamMaker> makers;
  for (const BackendKind backend : backends()) {
    for (const StreamKind kind : {StreamKind::tcp, StreamKind::unix_socket}) {
      makers.push_back({.backend = backend, .kind = kind, .protocol = protocol});
    }
  }
  return makers;
}

}  // namespace weir::test
