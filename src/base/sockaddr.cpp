#include "sockaddr.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace weir::inline v0::detail {
namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

/// The system's structs are copied, not cast to: what we are given may be aligned for another one,
/// and may be shorter.
template <class Struct>
Struct copied(const sockaddr& address, std::size_t length) noexcept {
  Struct result{};
  std::memcpy(&result, &address, std::min(length, sizeof(Struct)));
  return result;
}

template <class Struct>
socklen_t put(const Struct& from, std::size_t length, sockaddr_storage& storage) noexcept {
  std::memcpy(&storage, &from, length);
  return static_cast<socklen_t>(length);
}

Address from_ipv4(const sockaddr_in& in) noexcept {
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
  return Address::ipv4(bytes, ntohs(in.sin_port));
}

Address from_ipv6(const sockaddr_in6& in) noexcept {
  Address::Bytes bytes{};
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  return Address::ipv6(bytes, ntohs(in.sin6_port), in.sin6_scope_id, ntohl(in.sin6_flowinfo));
}

/// The length says where an abstract name ends; a path ends at its NUL, or fills the array.
Address from_unix(const sockaddr_un& un, std::size_t length) {
  if (length <= path_offset) return Address::unix_socket({});
  std::string path(un.sun_path, std::min(length - path_offset, sizeof(un.sun_path)));
  if (path.front() != '\0') path.resize(std::min(path.size(), path.find('\0')));
  return Address::unix_socket(std::move(path));
}

socklen_t put_ipv4(const Address& address, sockaddr_storage& storage) noexcept {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(address.port());
  std::memcpy(&in.sin_addr, address.bytes().data(), sizeof(in.sin_addr));
  return put(in, sizeof(in), storage);
}

socklen_t put_ipv6(const Address& address, sockaddr_storage& storage) noexcept {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(address.port());
  in.sin6_flowinfo = htonl(address.flow_info());
  in.sin6_scope_id = address.scope_id();
  std::memcpy(&in.sin6_addr, address.bytes().data(), sizeof(in.sin6_addr));
  return put(in, sizeof(in), storage);
}

socklen_t put_unix(const std::string& path, sockaddr_storage& storage) noexcept {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const bool terminated = !path.empty() && path.front() != '\0';
  const std::size_t size = path.size() + (terminated ? 1 : 0);
  if (size > sizeof(un.sun_path)) return 0;
  std::memcpy(un.sun_path, path.data(), path.size());
  return put(un, path_offset + size, storage);
}

}  // namespace

Address address_from(const sockaddr& address, socklen_t length) {
  if (length < offsetof(sockaddr, sa_data)) return {};
  switch (address.sa_family) {
    case AF_INET: return from_ipv4(copied<sockaddr_in>(address, length));
    case AF_INET6: return from_ipv6(copied<sockaddr_in6>(address, length));
    case AF_UNIX: return from_unix(copied<sockaddr_un>(address, length), length);
    default: return {};
  }
}

socklen_t sockaddr_from(const Address& address, sockaddr_storage& storage) noexcept {
  storage = {};
  switch (address.family()) {
    case AddressFamily::ipv4: return put_ipv4(address, storage);
    case AddressFamily::ipv6: return put_ipv6(address, storage);
    case AddressFamily::unix_socket: return put_unix(address.path(), storage);
    case AddressFamily::unspecified: break;
  }
  return 0;
}

}  // namespace weir::inline v0::detail
