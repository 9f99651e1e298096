#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "recorder.h"
#include "temporary_directory.h"

namespace weir::test {

/// What a stream runs over: a socket of either kind, TLS over TCP, or TLS over that.
enum class StreamKind : std::uint8_t { tcp, unix_socket, tls, tls_in_tls };

/// A context of clients and one of servers, for one another; made once in a process.
const TlsContext& client_context();
const TlsContext& server_context();

/// One way to have connected streams: which backend, which kind of stream, and which kind of
/// protocol on both ends. Behaviour tests run over all of them and name none.
struct StreamMaker {
  BackendKind backend = BackendKind::automatic;
  StreamKind kind = StreamKind::tcp;
  ProtocolKind protocol = ProtocolKind::stream;

  /// "tcp_epoll", "unix_simulated_buffered".
  std::string name() const;

  LoopOptions loop_options() const;

  /// Where the contract has other rules for TLS: one direction cannot end alone [T20], what is written
  /// after close() is dropped also while the rest is sent [T21], closing takes an answer of the peer [T9],
  /// and exceptions are reported by other words [T29].
  bool is_tls() const { return kind == StreamKind::tls || kind == StreamKind::tls_in_tls; }

  /// A server on an address of its own, for protocols of `factory`.
  template <class Factory>
  Future<Server> listen(EventLoop& loop, Factory factory) const {
    if (kind == StreamKind::unix_socket) {
      return create_unix_server(loop, std::move(factory), new_socket_path());
    }
    if (kind == StreamKind::tls_in_tls) {
      return create_server(
          loop,
          [&loop, factory = std::move(factory)]() mutable {
            return inside_tls(loop, detail::make_protocol_of(factory()).any, server_context(), {});
          },
          "127.0.0.1", 0, server_options());
    }
    return create_server(loop, std::move(factory), "127.0.0.1", 0, server_options());
  }

  /// A connection to the server that listens on `address`.
  template <class Factory>
  auto connect(EventLoop& loop, Factory factory, const Address& address) const {
    if (kind == StreamKind::unix_socket) {
      return create_unix_connection(loop, std::move(factory), address.path());
    }
    if (kind == StreamKind::tls_in_tls) {
      return connect_inside_tls(loop, std::move(factory), address);
    }
    return create_connection(loop, std::move(factory), address.host(), address.port(),
                             connect_options());
  }

  friend void PrintTo(const StreamMaker& maker, std::ostream* out) { *out << maker.name(); }

 private:
  using Ready = std::function<void(const Transport&)>;

  ConnectOptions connect_options() const;
  ServerOptions server_options() const;

  /// The protocol of a TLS connection that starts TLS over it, for `protocol`; `ready` is told once that
  /// had its connection_made().
  static std::shared_ptr<Protocol> inside_tls(EventLoop& loop, AnyProtocol protocol,
                                              const TlsContext& context, Ready ready);

  template <class Factory>
  auto connect_inside_tls(EventLoop& loop, Factory factory, const Address& address) const {
    using P = detail::ProtocolOf<Factory>;
    Future<Connection<P>> connected(loop);
    create_connection(
        loop,
        [&loop, connected, factory = std::move(factory)]() mutable {
          auto made = detail::make_protocol_of(factory());
          return inside_tls(loop, std::move(made.any), client_context(),
                            [connected, typed = std::move(made.typed)](const Transport& transport) {
                              connected.set_result(Connection<P>{transport, typed});
                            });
        },
        address.host(), address.port(), connect_options());
    return connected;
  }
};

/// Every maker; with protocols of both kinds, or of one.
std::vector<StreamMaker> stream_makers();
std::vector<StreamMaker> stream_makers(ProtocolKind protocol);
/// Those of every kind for which `fits(maker)` holds.
template <class Fits>
std::vector<StreamMaker> stream_makers_where(Fits fits) {
  std::vector<StreamMaker> makers = stream_makers();
  std::erase_if(makers, [&](const StreamMaker& maker) { return !fits(maker); });
  return makers;
}
/// Those of sockets alone.
inline std::vector<StreamMaker> socket_makers() {
  return stream_makers_where([](const StreamMaker& maker) { return !maker.is_tls(); });
}

/// The backends this machine has.
std::vector<BackendKind> backends();
/// Whether this build and this system have io_uring; says once on standard error why not.
bool has_uring();

/// Options of a loop on `backend`, with small buffers where they can be chosen.
LoopOptions loop_options(BackendKind backend);

}  // namespace weir::test
