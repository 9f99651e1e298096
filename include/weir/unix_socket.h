#pragma once

#include <weir/connect.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/server.h>
#include <weir/tls_context.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline v0 {

struct UnixConnectOptions {
  /// A connected Unix stream socket to use instead of a path; the transport then owns it. [N11]
  std::optional<int> sock{};
  /// As in ConnectOptions, but with `tls` there must be a `server_hostname`. [N11]
  std::optional<TlsContext> tls{};
  std::optional<std::string> server_hostname{};
  std::optional<std::chrono::nanoseconds> tls_handshake_timeout{};
  std::optional<std::chrono::nanoseconds> tls_shutdown_timeout{};
};

struct UnixServerOptions {
  /// How many connections the kernel may hold ready to be accepted, and how many are accepted at
  /// once. [V6]
  int backlog = 100;
  /// False: bound, but not listening until Server::start_serving(). [V5]
  bool start_serving = true;
  /// Remove the path when the server closes, or its loop does, unless it leads to something else by
  /// then. [V15]
  bool cleanup_socket = true;
  /// A bound Unix stream socket to use instead of a path; the server then owns it. [V14]
  std::optional<int> sock{};
  /// As in ServerOptions.
  std::optional<TlsContext> tls{};
  std::optional<std::chrono::nanoseconds> tls_handshake_timeout{};
  std::optional<std::chrono::nanoseconds> tls_shutdown_timeout{};
};

namespace detail {

WEIR_API FutureState::CancelHook start_unix_connecting(EventLoop& loop,
                                                       ProtocolFactory make_protocol,
                                                       const std::optional<std::string>& path,
                                                       UnixConnectOptions options,
                                                       ConnectSink sink);
WEIR_API Future<Server> start_unix_server(EventLoop& loop, ProtocolFactory make_protocol,
                                          const std::optional<std::string>& path,
                                          UnixServerOptions options);

}  // namespace detail

/// Connects to the Unix stream socket at `path`, or, with a leading NUL, of that abstract name;
/// asyncio's create_unix_connection. What create_connection() says holds here, too.
///
/// Errors: through the future only; std::invalid_argument for misuse, and std::system_error with the
/// path in its text: of a path that is too long (107 bytes, an abstract name 108), and of a server
/// whose backlog is full, which Linux answers with resource_unavailable_try_again. [N11, N13]
/// Threads: the loop's.
template <detail::MakesProtocol Factory>
auto create_unix_connection(EventLoop& loop, Factory make_protocol, std::string_view path,
                            UnixConnectOptions options = {}) {
  return detail::open_stream(
      loop, std::move(make_protocol), [&](ProtocolFactory make, detail::ConnectSink sink) {
        return detail::start_unix_connecting(loop, std::move(make), std::string(path),
                                             std::move(options), std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto create_unix_connection(EventLoop& loop, std::string_view path,
                            UnixConnectOptions options = {}) {
  return create_unix_connection(
      loop, [] { return std::make_shared<P>(); }, path, std::move(options));
}

/// The same over the connected socket `options.sock`. If it is refused it stays the caller's; once
/// taken, it is the transport's. [N9, N11]
template <detail::MakesProtocol Factory>
auto create_unix_connection(EventLoop& loop, Factory make_protocol, UnixConnectOptions options) {
  return detail::open_stream(
      loop, std::move(make_protocol), [&](ProtocolFactory make, detail::ConnectSink sink) {
        return detail::start_unix_connecting(loop, std::move(make), std::nullopt,
                                             std::move(options), std::move(sink));
      });
}

template <class P>
  requires(!detail::MakesProtocol<P>)
auto create_unix_connection(EventLoop& loop, UnixConnectOptions options) {
  return create_unix_connection(
      loop, [] { return std::make_shared<P>(); }, std::move(options));
}

/// Serves connections to the Unix stream socket at `path`, or, with a leading NUL, of that abstract
/// name; asyncio's create_unix_server. What create_server() says holds here, too.
///
/// A socket file at `path` is removed first, as in asyncio also if a server still listens on it; any other
/// file stays, and is an address_in_use error that names it. [V14, V15]
/// Threads: the loop's.
template <detail::MakesProtocol Factory>
Future<Server> create_unix_server(EventLoop& loop, Factory make_protocol, std::string_view path,
                                  UnixServerOptions options = {}) {
  return detail::start_unix_server(loop, detail::any_factory(std::move(make_protocol)),
                                   std::string(path), std::move(options));
}

/// The same with a default-constructed P for each connection.
template <class P>
  requires(!detail::MakesProtocol<P>)
Future<Server> create_unix_server(EventLoop& loop, std::string_view path,
                                  UnixServerOptions options = {}) {
  return create_unix_server(
      loop, [] { return std::make_shared<P>(); }, path, std::move(options));
}

/// The same on the bound socket `options.sock`. If it is refused it stays the caller's.
template <detail::MakesProtocol Factory>
Future<Server> create_unix_server(EventLoop& loop, Factory make_protocol,
                                  UnixServerOptions options) {
  return detail::start_unix_server(loop, detail::any_factory(std::move(make_protocol)),
                                   std::nullopt, std::move(options));
}

template <class P>
  requires(!detail::MakesProtocol<P>)
Future<Server> create_unix_server(EventLoop& loop, UnixServerOptions options) {
  return create_unix_server(
      loop, [] { return std::make_shared<P>(); }, std::move(options));
}

}  // namespace weir::inline v0
