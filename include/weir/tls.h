#pragma once

#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/tls_context.h>
#include <weir/tls_info.h>
#include <weir/transport.h>

#include <chrono>
#include <optional>
#include <string>

namespace weir::inline v0 {

/// What start_tls() takes besides; the openers' options have the same.
struct StartTlsOptions {
  /// Of a client, which must say it: whom the certificate must be of, and what a server of several names is
  /// asked for; empty: nobody is checked or asked for. [T28]
  std::optional<std::string> server_hostname{};
  /// How long the handshake may take; unset: 60 s. [T4]
  std::optional<std::chrono::nanoseconds> tls_handshake_timeout{};
  /// How long it may take to close in order; unset: 30 s. [T9]
  std::optional<std::chrono::nanoseconds> tls_shutdown_timeout{};
};

/// Upgrades a connection to TLS; asyncio's start_tls. This side is a client or a server as `context` is.
///
/// `protocol`, whose connection `transport` is, gets nothing that arrives from here on until the handshake is
/// done: then the future gives a new transport, which it must use, and which tells it the rest. There is
/// no second connection_made(). So that nothing goes in the clear by mistake, `transport` can from here on only
/// be asked and closed: to write, to end the stream, to set a protocol is a WrongStateError; once the
/// handshake is done it names nothing any more. [T21, T23, T24, T26] It may carry TLS already: then this is
/// TLS in TLS.
///
/// If the handshake fails, takes too long or is cancelled, the connection is closed, and `protocol` told
/// connection_lost(), with the failure, or, if it was cancelled, without. [T25]
///
/// Errors: through the future only; std::invalid_argument for misuse, WrongStateError for a transport that
/// is closing, sends a file, or is being upgraded, which all leave everything as it is; and as
/// create_connection().
/// Threads: the loop's.
WEIR_API Future<Transport> start_tls(EventLoop& loop, const Transport& transport,
                                     AnyProtocol protocol, const TlsContext& context,
                                     const StartTlsOptions& options = {});

}  // namespace weir::inline v0
