#pragma once

#include <weir/address.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/tls_context.h>
#include <weir/transport.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

namespace detail {
class ServerCore;
}

/// The hosts a server binds to: one, several, or, empty, all interfaces. [V3]
class Hosts {
 public:
  Hosts() = default;
  // NOLINTBEGIN(google-explicit-constructor): a host is what its user writes
  template <std::convertible_to<std::string_view> S>
  Hosts(const S& host) : names_{std::string(std::string_view(host))} {}
  Hosts(std::vector<std::string> hosts) : names_(std::move(hosts)) {}
  // NOLINTEND(google-explicit-constructor)
  Hosts(std::initializer_list<std::string> hosts) : names_(hosts) {}

  const std::vector<std::string>& names() const noexcept { return names_; }

 private:
  std::vector<std::string> names_;
};

struct ServerOptions {
  AddressFamily family = AddressFamily::unspecified;
  /// How many connections the kernel may hold ready to be accepted, and how many are accepted at
  /// once. [V6]
  int backlog = 100;
  bool reuse_address = true;
  /// Several servers, of several threads or processes, share the port. [V4]
  bool reuse_port = false;
  bool keep_alive = false;
  /// False: bound, but not listening until Server::start_serving(). [V5]
  bool start_serving = true;
  /// A bound stream socket to use instead of hosts and a port; the server then owns it. [V2]
  std::optional<int> sock{};
  /// Set: TLS, with this context of a server. A connection whose handshake fails is closed. [T5]
  std::optional<TlsContext> tls{};
  /// How long a handshake may take; unset: 60 s. [T4]
  std::optional<std::chrono::nanoseconds> tls_handshake_timeout{};
  /// How long it may take to close a connection in order; unset: 30 s. [T9]
  std::optional<std::chrono::nanoseconds> tls_shutdown_timeout{};
};

/// A listening server; asyncio's Server. Copies name the same one, and dropping them all does not stop
/// it: close() does, or the loop's. [V16]
///
/// Threads: the loop's; copy and destroy anywhere.
class WEIR_API Server {
 public:
  Server() noexcept = default;

  /// Listening sockets; empty once closed. [V9, V16]
  std::vector<SocketView> sockets() const;
  bool is_serving() const;
  /// Its loop; null once that is destroyed.
  EventLoop* get_loop() const;

  /// Starts listening, if it has not. Errors, through the future: std::system_error; WrongStateError
  /// if it is closed. [V5]
  Future<void> start_serving() const;

  /// Serves until the future is cancelled or the server is closed; it then ends as cancelled.
  /// Cancelling it closes the server and its connections, and waits for them. Errors, through the
  /// future: WrongStateError if it is closed or served already. [V13]
  Future<void> serve_forever() const;

  /// Stops listening at once; connections go on. Nothing if repeated. [V9]
  void close() const;
  /// Closes every connection it accepted that is still open, sending what was written. [V10]
  void close_clients() const;
  /// Aborts every connection it accepted that is still open. [V10]
  void abort_clients() const;

  /// Done when it is closed and its last connection is gone. [V11]
  Future<void> wait_closed() const;

 private:
  friend class detail::ServerCore;
  explicit Server(std::shared_ptr<detail::ServerCore> core) noexcept : core_(std::move(core)) {}

  std::shared_ptr<detail::ServerCore> core_;
};

namespace detail {
WEIR_API Future<Server> start_server(EventLoop& loop, ProtocolFactory make_protocol,
                                     std::optional<Hosts> hosts, std::optional<std::uint16_t> port,
                                     ServerOptions options);

template <class Factory>
ProtocolFactory any_factory(Factory factory) {
  return [factory = std::move(factory)]() mutable { return make_protocol_of(factory()).any; };
}
}  // namespace detail

/// Serves TCP connections on `hosts` and `port`; asyncio's create_server.
///
/// One socket for each address; port 0 takes a free one, see Server::sockets(). `make_protocol` is
/// called once for each connection, and returns a protocol as for create_connection(). The future is
/// done when the server is listening. [V1, V3, V5, V8]
///
/// Errors: through the future only; std::invalid_argument for misuse [V2], and std::system_error with
/// the address in its text. What the factory throws closes that connection only. [B11]
/// Threads: the loop's.
template <detail::MakesProtocol Factory>
Future<Server> create_server(EventLoop& loop, Factory make_protocol, Hosts hosts,
                             std::uint16_t port, ServerOptions options = {}) {
  return detail::start_server(loop, detail::any_factory(std::move(make_protocol)), std::move(hosts),
                              port, std::move(options));
}

/// The same with a default-constructed P for each connection.
template <class P>
  requires(!detail::MakesProtocol<P>)
Future<Server> create_server(EventLoop& loop, Hosts hosts, std::uint16_t port,
                             ServerOptions options = {}) {
  return create_server(
      loop, [] { return std::make_shared<P>(); }, std::move(hosts), port, std::move(options));
}

/// The same on the bound socket `options.sock`.
template <detail::MakesProtocol Factory>
Future<Server> create_server(EventLoop& loop, Factory make_protocol, ServerOptions options) {
  return detail::start_server(loop, detail::any_factory(std::move(make_protocol)), std::nullopt,
                              std::nullopt, std::move(options));
}

}  // namespace weir::inline v0
