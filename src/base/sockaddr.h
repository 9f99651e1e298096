#pragma once

#include <weir/address.h>

#include <sys/socket.h>

namespace weir::inline v0::detail {

/// An address as the system writes it, `length` bytes of it. Of a family other than IPv4, IPv6 and
/// Unix: no address. A Unix socket without a name is a unix_socket with an empty path.
Address address_from(const sockaddr& address, socklen_t length);

/// Writes `address` into `storage`, for the system; returns its length. 0 if it is empty, or a path
/// that does not fit.
socklen_t sockaddr_from(const Address& address, sockaddr_storage& storage) noexcept;

}  // namespace weir::inline v0::detail
