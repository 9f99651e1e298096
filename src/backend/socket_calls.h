#pragma once

#include <weir/address.h>

#include <system_error>

#include "backend.h"
#include "fd.h"
#include "result.h"

// What backends over a real kernel share: sockets and their options. Every descriptor made here is
// non-blocking and close-on-exec. [O5]
namespace weir::inline v0::detail {

std::error_code last_system_error() noexcept;

/// A new stream socket for addresses like `address`.
Result<Fd> open_stream_socket(const Address& address) noexcept;
std::error_code bind_socket(int socket, const Address& address) noexcept;
std::error_code connect_socket(int socket, const Address& address) noexcept;

/// A stream socket bound to `address`.
Result<Fd> open_bound_socket(const Address& address, const ListenOptions& options) noexcept;

/// Checks that `descriptor` is an open stream socket, and makes it non-blocking: what
/// Backend::adopt_stream() promises.
std::error_code prepare_adopted_socket(int descriptor) noexcept;

/// True for a TCP socket over IPv4 or IPv6.
bool is_internet_socket(int socket) noexcept;

/// Small writes are sent at once, over TCP. [S30] No error: other stream sockets have no such option.
void set_no_delay(int socket) noexcept;

/// The error an asynchronous connect ended with. [N13]
std::error_code pending_socket_error(int socket) noexcept;

Address local_address_of(int socket);
Address peer_address_of(int socket);

}  // namespace weir::inline v0::detail
