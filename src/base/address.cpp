#include <weir/address.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline v0 {
namespace {

std::string literal(int family, const Address::Bytes& bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, bytes.data(), text.data(), text.size());
}

std::string with_zone(std::string host, std::uint32_t scope_id) {
  return scope_id == 0 ? std::move(host) : std::move(host) + "%" + std::to_string(scope_id);
}

}  // namespace

Address Address::ipv4(std::array<std::uint8_t, 4> bytes, std::uint16_t port) noexcept {
  Address address;
  address.family_ = AddressFamily::ipv4;
  address.port_ = port;
  std::ranges::copy(bytes, address.bytes_.begin());
  return address;
}

Address Address::ipv6(const Bytes& bytes, std::uint16_t port, std::uint32_t scope_id,
                      std::uint32_t flow_info) noexcept {
  Address address;
  address.family_ = AddressFamily::ipv6;
  address.port_ = port;
  address.flow_info_ = flow_info;
  address.scope_id_ = scope_id;
  address.bytes_ = bytes;
  return address;
}

Address Address::unix_socket(std::string path) {
  Address address;
  address.family_ = AddressFamily::unix_socket;
  address.path_ = std::move(path);
  return address;
}

std::optional<Address> Address::parse(std::string_view literal, std::uint16_t port) {
  const std::string text(literal);
  if (text.find('\0') != std::string::npos) return std::nullopt;
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, text.c_str(), four.data()) == 1) return ipv4(four, port);
  Bytes sixteen{};
  if (inet_pton(AF_INET6, text.c_str(), sixteen.data()) == 1) return ipv6(sixteen, port);
  return std::nullopt;
}

std::string Address::host() const {
  switch (family_) {
    case AddressFamily::ipv4: return literal(AF_INET, bytes_);
    case AddressFamily::ipv6: return literal(AF_INET6, bytes_);
    case AddressFamily::unix_socket: return path_;
    case AddressFamily::unspecified: break;
  }
  return {};
}

Address Address::with_port(std::uint16_t port) const {
  Address address = *this;
  address.port_ = port;
  return address;
}

std::string Address::to_string() const {
  switch (family_) {
    case AddressFamily::ipv4: return host() + ":" + std::to_string(port_);
    case AddressFamily::ipv6:
      return "[" + with_zone(host(), scope_id_) + "]:" + std::to_string(port_);
    case AddressFamily::unix_socket: return path_.starts_with('\0') ? "@" + path_.substr(1) : path_;
    case AddressFamily::unspecified: break;
  }
  return {};
}

}  // namespace weir::inline v0
