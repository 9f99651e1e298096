#pragma once

#include <weir/address.h>

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include "backend.h"
#include "fd.h"
#include "result.h"

// What backends over a real kernel share: sockets and their options. Every descriptor made here is
// non-blocking and close-on-exec. [O5]
namespace weir::inline v0::detail {

std::error_code last_system_error() noexcept;

/// A new socket of `type` (SOCK_STREAM, SOCK_DGRAM) for addresses of `family`.
Result<Fd> open_socket(AddressFamily family, int type) noexcept;
/// A stale socket file at a Unix path is removed first; any other file there is address_in_use. Both:
/// filename_too_long for a Unix path that does not fit, invalid_argument for one with a NUL in it. [V14, D21]
std::error_code bind_socket(int socket, const Address& address) noexcept;
std::error_code connect_socket(int socket, const Address& address) noexcept;

/// A stream socket bound to `address`.
Result<Fd> open_bound_socket(const Address& address, const ListenOptions& options) noexcept;

/// The file that a Unix socket is bound to.
struct BoundPath {
  std::string path;  ///< empty: none
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
};

/// None for a socket that is not bound to a path, or whose path leads to no socket.
BoundPath bound_path_of(int socket);
/// Removes it, unless something else is there by now, or nothing. [V15]
std::error_code remove_bound_path(const BoundPath& bound) noexcept;

/// Checks that `descriptor` is an open socket of `type` (SOCK_STREAM, SOCK_DGRAM), and makes it
/// non-blocking: what the adopt calls of Backend promise.
std::error_code prepare_adopted_socket(int descriptor, int type) noexcept;

/// unspecified for a family that addresses do not know.
AddressFamily family_of(int socket) noexcept;

/// Small writes are sent at once, over TCP. [S30] No error: other stream sockets have no such option.
void set_no_delay(int socket) noexcept;

/// The error an asynchronous connect ended with. [N13]
std::error_code pending_socket_error(int socket) noexcept;

Address local_address_of(int socket);
Address peer_address_of(int socket);
/// Nothing if the socket is not connected; a peer may have no name. [D7]
std::optional<Address> connected_peer_of(int socket);

/// An option that is on or off.
std::error_code set_option(int socket, int level, int name, bool enabled) noexcept;

}  // namespace weir::inline v0::detail
