#pragma once

#include <weir/address.h>

#include <system_error>

#include "backend.h"

// The options of datagram sockets that can be changed at any time: what DatagramChannel promises.
namespace weir::inline v0::detail {

std::error_code set_group_membership(int socket, const Address& group, const Address& interface,
                                     bool member) noexcept;
std::error_code set_hop_limit(int socket, DatagramChannel::Hops kind, int count) noexcept;
std::error_code set_group_loop(int socket, bool enabled) noexcept;
std::error_code set_group_interface(int socket, const Address& interface) noexcept;

}  // namespace weir::inline v0::detail
