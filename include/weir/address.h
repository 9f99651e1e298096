#pragma once

#include <weir/export.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::inline v0 {

enum class AddressFamily : std::uint8_t { unspecified, ipv4, ipv6, unix_socket };

/// Where a socket is, or whom it talks to: host and port, or a path. A plain value.
///
/// Threads: any.
class WEIR_API Address {
 public:
  using Bytes = std::array<std::uint8_t, 16>;

  /// No address: family() is unspecified, to_string() is empty.
  Address() noexcept = default;

  /// An IPv4 address of its four bytes, most significant first.
  static Address ipv4(std::array<std::uint8_t, 4> bytes, std::uint16_t port) noexcept;

  /// An IPv6 address of its sixteen bytes; `scope_id` is the interface of a link-local one.
  static Address ipv6(const Bytes& bytes, std::uint16_t port, std::uint32_t scope_id = 0,
                      std::uint32_t flow_info = 0) noexcept;

  /// A path, or, with a leading NUL, an abstract name.
  static Address unix_socket(std::string path);

  /// Reads a literal IPv4 or IPv6 address (no brackets, no zone); nothing for anything else.
  static std::optional<Address> parse(std::string_view literal, std::uint16_t port);

  AddressFamily family() const noexcept { return family_; }
  bool empty() const noexcept { return family_ == AddressFamily::unspecified; }

  /// The literal address without the port ("127.0.0.1", "::1"), or the path.
  std::string host() const;
  /// In host byte order; 0 for a path.
  std::uint16_t port() const noexcept { return port_; }
  std::uint32_t scope_id() const noexcept { return scope_id_; }
  std::uint32_t flow_info() const noexcept { return flow_info_; }
  /// The raw address; the first four bytes for IPv4.
  const Bytes& bytes() const noexcept { return bytes_; }
  const std::string& path() const noexcept { return path_; }

  /// The same address with another port.
  Address with_port(std::uint16_t port) const;

  /// As a person writes it: "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@name" for an abstract one.
  std::string to_string() const;

  friend bool operator==(const Address&, const Address&) = default;

 private:
  AddressFamily family_ = AddressFamily::unspecified;
  std::uint16_t port_ = 0;
  std::uint32_t flow_info_ = 0;
  std::uint32_t scope_id_ = 0;
  Bytes bytes_{};
  std::string path_;
};

}  // namespace weir::inline v0
