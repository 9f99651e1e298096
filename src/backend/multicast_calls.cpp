#include "multicast_calls.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

template <class Value>
std::error_code set(int socket, int level, int name, const Value& value) noexcept {
  if (::setsockopt(socket, level, name, &value, sizeof value) == 0) return {};
  return last_system_error();
}

in_addr ipv4_of(const Address& address) noexcept {
  in_addr result{};
  std::memcpy(&result, address.bytes().data(), sizeof result);
  return result;
}

std::error_code no_multicast() noexcept {
  return std::make_error_code(std::errc::operation_not_supported);
}

std::error_code wrong_family() noexcept {
  return std::make_error_code(std::errc::address_family_not_supported);
}

/// An option that IPv4 and IPv6 have under names of their own.
std::error_code set_either(int socket, int ipv4_name, int ipv6_name, int value) noexcept {
  switch (family_of(socket)) {
    case AddressFamily::ipv4: return set(socket, IPPROTO_IP, ipv4_name, value);
    case AddressFamily::ipv6: return set(socket, IPPROTO_IPV6, ipv6_name, value);
    default: return no_multicast();
  }
}

}  // namespace

std::error_code set_group_membership(int socket, const Address& group, const Address& interface,
                                     bool member) noexcept {
  if (!interface.empty() && interface.family() != group.family()) return wrong_family();
  switch (group.family()) {
    case AddressFamily::ipv4: {
      const ip_mreqn request{
          .imr_multiaddr = ipv4_of(group), .imr_address = ipv4_of(interface), .imr_ifindex = 0};
      return set(socket, IPPROTO_IP, member ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, request);
    }
    case AddressFamily::ipv6: {
      // A link-local group may name its interface itself.
      ipv6_mreq request{};
      std::memcpy(&request.ipv6mr_multiaddr, group.bytes().data(), sizeof request.ipv6mr_multiaddr);
      request.ipv6mr_interface = interface.empty() ? group.scope_id() : interface.scope_id();
      return set(socket, IPPROTO_IPV6, member ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, request);
    }
    default: return wrong_family();
  }
}

std::error_code set_hop_limit(int socket, DatagramChannel::Hops kind, int count) noexcept {
  return kind == DatagramChannel::Hops::unicast
             ? set_either(socket, IP_TTL, IPV6_UNICAST_HOPS, count)
             : set_either(socket, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, count);
}

std::error_code set_group_loop(int socket, bool enabled) noexcept {
  return set_either(socket, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, enabled ? 1 : 0);
}

std::error_code set_group_interface(int socket, const Address& interface) noexcept {
  const AddressFamily family = family_of(socket);
  if (!interface.empty() && interface.family() != family) return wrong_family();
  switch (family) {
    case AddressFamily::ipv4: {
      const ip_mreqn request{
          .imr_multiaddr = {}, .imr_address = ipv4_of(interface), .imr_ifindex = 0};
      return set(socket, IPPROTO_IP, IP_MULTICAST_IF, request);
    }
    case AddressFamily::ipv6:
      return set(socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(interface.scope_id()));
    default: return no_multicast();
  }
}

}  // namespace weir::inline v0::detail
