#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "recorder.h"
#include "temporary_directory.h"

namespace weir::test {

/// What a stream runs over.
enum class StreamKind : std::uint8_t { tcp, unix_socket };

/// One way to have connected streams: which backend, which kind of stream, and which kind of
/// protocol on both ends. Behaviour tests run over all of them and name none.
struct StreamMaker {
  BackendKind backend = BackendKind::automatic;
  StreamKind kind = StreamKind::tcp;
  ProtocolKind protocol = ProtocolKind::stream;

  /// "tcp_epoll", "unix_simulated_buffered".
  std::string name() const;

  LoopOptions loop_options() const;

  /// A server on an address of its own, for protocols of `factory`.
  template <class Factory>
  Future<Server> listen(EventLoop& loop, Factory factory) const {
    if (kind == StreamKind::unix_socket) {
      return create_unix_server(loop, std::move(factory), new_socket_path());
    }
    return create_server(loop, std::move(factory), "127.0.0.1", 0);
  }

  /// A connection to the server that listens on `address`.
  template <class Factory>
  auto connect(EventLoop& loop, Factory factory, const Address& address) const {
    if (kind == StreamKind::unix_socket) {
      return create_unix_connection(loop, std::move(factory), address.path());
    }
    return create_connection(loop, std::move(factory), address.host(), address.port());
  }

  friend void PrintTo(const StreamMaker& maker, std::ostream* out) { *out << maker.name(); }
};

/// Every maker; with protocols of both kinds, or of one.
std::vector<StreamMaker> stream_makers();
std::vector<StreamMaker> stream_makers(ProtocolKind protocol);

/// The backends this machine has.
std::vector<BackendKind> backends();

/// Options of a loop on `backend`, with small buffers where they can be chosen.
LoopOptions loop_options(BackendKind backend);

}  // namespace weir::test
