#pragma once

#include <weir/address.h>
#include <weir/detail/open_transport.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/tls_context.h>
#include <weir/transport.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline v0 {

/// What an opener gives: the transport, and the protocol its factory made.
template <class P = BaseProtocol>
struct Connection {
  Transport transport;
  std::shared_ptr<P> protocol;
};

/// A host and a port to bind to before connecting.
struct LocalAddress {
  std::string host;
  std::uint16_t port = 0;
};

struct ConnectOptions {
  AddressFamily family = AddressFamily::unspecified;
  int protocol = 0;
  /// AI_NUMERICHOST and so on.
  int flags = 0;
  /// Bind to this first; only entries of the same family are tried for each address. [N6]
  std::optional<LocalAddress> local_addr{};
  /// Race the addresses: start the next one this long after the one before. [N8]
  std::optional<std::chrono::nanoseconds> happy_eyeballs_delay{};
  /// Reorder the addresses by family, that many of the first one first; 1 if racing. [N7]
  std::optional<std::size_t> interleave{};
  /// Fail with an AggregateError of all errors, also when there is only one. [N5]
  bool all_errors = false;
  /// A connected stream socket to use instead of an address; the transport then owns it. [N10]
  std::optional<int> sock{};
  /// Set: TLS, with this context of a client.
  std::optional<TlsContext> tls{};
  /// Whom the certificate must be of, and what a server of several names is asked for. Unset: the host.
  /// Empty: nobody is checked or asked for. [N3, T28]
  std::optional<std::string> server_hostname{};
  /// How long the handshake may take; unset: 60 s. [T4]
  std::optional<std::chrono::nanoseconds> tls_handshake_timeout{};
  /// How long it may take to close in order; unset: 30 s. [T9]
  std::optional<std::chrono::nanoseconds> tls_shutdown_timeout{};
};

/// How to take over a connection that somebody else accepted.
struct AcceptedOptions {
  /// Set: TLS, with this context of a server.
  std::optional<TlsContext> tls{};
  /// As in ConnectOptions.
  std::optional<std::chrono::nanoseconds> tls_handshake_timeout{};
  std::optional<std::chrono::nanoseconds> tls_shutdown_timeout{};
};

namespace detail {

using ConnectSink = OpenSink<Transport>;

/// Starts connecting; what it returns cancels that.
WEIR_API FutureState::CancelHook start_connecting(EventLoop& loop, ProtocolFactory make_protocol,
                                                  const std::optional<std::string>& host,
                                                  std::optional<std::uint16_t> port,
                                                  ConnectOptions options, ConnectSink sink);
WEIR_API FutureState::CancelHook start_accepted(EventLoop& loop, ProtocolFactory make_protocol,
                                                int socket, AcceptedOptions options,
                                                ConnectSink sink);

/// A stream, as open_transport() opens it.
struct StreamOpening {
  using Handle = Transport;
  using Held = AnyProtocol;
  template <class P>
  using Opened = Connection<P>;
  template <class T>
  static auto made_of(T&& made) {
    return make_protocol_of(std::forward<T>(made));
  }
};

template <class Factory, class Start>
auto open_stream(EventLoop& loop, Factory&& factory, Start&& start) {
  return open_transport<StreamOpening>(loop, std::forward<Factory>(factory),
                                       std::forward<Start>(start));
}

}  // namespace detail

/// Connects to `host`:`port` over TCP; asyncio's create_connection.
///
/// Tries the addresses of `host` in the resolver's order, racing them if
/// `options.happy_eyeballs_delay` is set. `make_protocol` is called once, after the connection is up,
/// and returns a protocol: by pointer, shared or unique, or an object for adapt(). The future
/// completes from the loop, after connection_made() and before the first data. [N1, N4, B1, B8]
///
/// Errors: through the future only; misuse as std::invalid_argument [N2], what the factory throws
/// [B11], resolver errors, and, with no address left, std::system_error with the address in its text,
/// an AggregateError if several differ. [N5] With TLS also a TlsError, or a CertificateError, and
/// connection_aborted for a handshake that took too long; the protocol then hears nothing. [T4-T6]
/// Threads: the loop's. Dropping the future does not cancel; cancel() does. [N9]
template <detail::MakesProtocol Factory>
auto create_connection(EventLoop& loop, Factory make_protocol, std::string_view host,
                       std::uint16_t port, ConnectOptions options = {}) {
  return detail::open_stream(
      loop, std::move(make_protocol), [&](ProtocolFactory make, detail::ConnectSink sink) {
        return detail::start_connecting(loop, std::move(make), std::string(host), port,
                                        std::move(options), std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto create_connection(EventLoop& loop, std::string_view host, std::uint16_t port,
                       ConnectOptions options = {}) {
  return create_connection(
      loop, [] { return std::make_shared<P>(); }, host, port, std::move(options));
}

/// The same over the connected socket `options.sock`: client code over a socket that is open already.
/// On misuse the socket stays the caller's; once accepted, it is the transport's. [N9, N10]
template <detail::MakesProtocol Factory>
auto create_connection(EventLoop& loop, Factory make_protocol, ConnectOptions options) {
  return detail::open_stream(
      loop, std::move(make_protocol), [&](ProtocolFactory make, detail::ConnectSink sink) {
        return detail::start_connecting(loop, std::move(make), std::nullopt, std::nullopt,
                                        std::move(options), std::move(sink));
      });
}

template <class P>
  requires(!detail::MakesProtocol<P>)
auto create_connection(EventLoop& loop, ConnectOptions options) {
  return create_connection(
      loop, [] { return std::make_shared<P>(); }, std::move(options));
}

/// Serves a connection that something else accepted: `socket` becomes the transport's. No Server is
/// involved. Errors as create_connection() with a socket. [N12]
template <detail::MakesProtocol Factory>
auto connect_accepted_socket(EventLoop& loop, Factory make_protocol, int socket,
                             AcceptedOptions options = {}) {
  return detail::open_stream(loop, std::move(make_protocol),
                             [&](ProtocolFactory make, detail::ConnectSink sink) {
                               return detail::start_accepted(loop, std::move(make), socket,
                                                             std::move(options), std::move(sink));
                             });
}

}  // namespace weir::inline v0
