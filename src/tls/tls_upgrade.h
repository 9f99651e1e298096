#pragma once

#include <weir/future.h>
#include <weir/protocol.h>

#include "loop.h"
#include "stream_transport.h"
#include "tls_plan.h"

// What the layer above does with TLS.
namespace weir::inline v0::detail {

/// The first protocol of a new transport that is to carry TLS: does the handshake, and then starts the
/// transport above, whose protocol is `protocol`. `ready` is told as soon as that was, or why there is no
/// transport; it may be empty. Throws TlsError if TLS refuses the plan.
AnyProtocol tls_handshake(Loop& loop, const TlsPlan& plan, AnyProtocol protocol,
                          TransportReady ready);

/// The same over `below`, whose protocol is `protocol` so far: of a socket, or TLS itself.
/// Returns what cancels it, the transport above included. [T23-T25]
FutureState::CancelHook tls_handshake_over(Loop& loop, const TlsPlan& plan, StreamTransport& below,
                                           AnyProtocol protocol, TransportReady ready);

/// Closes the connection that `transport` is the lowest part of: what runs over it by TLS, in order, or,
/// if there is nothing, itself.
void close_in_order(StreamTransport& transport);

}  // namespace weir::inline v0::detail
