#pragma once

#include <weir/address.h>
#include <weir/export.h>
#include <weir/future.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline v0 {

class EventLoop;

enum class SocketType : std::uint8_t { any, stream, datagram };

/// What to look for; asyncio's family, type, proto and flags. [L37]
struct ResolveOptions {
  AddressFamily family = AddressFamily::unspecified;
  SocketType type = SocketType::stream;
  /// IPPROTO_TCP and so on; 0 for any.
  int protocol = 0;
  /// AI_PASSIVE and so on, as the system's getaddrinfo takes them.
  int flags = 0;
};

/// One answer of getaddrinfo().
struct AddressInfo {
  Address address;
  SocketType type = SocketType::any;
  int protocol = 0;
  std::string canonical_name{};
  friend bool operator==(const AddressInfo&, const AddressInfo&) = default;
};

/// Resolves `host` and `service` (a name, a decimal port, or nothing) on a thread of the resolver, and
/// keeps its order. Literal addresses with a decimal port need no thread. An empty host is the loopback
/// address, or with AI_PASSIVE all interfaces. [L37, L38]
///
/// Errors, through the future: std::system_error with a code of resolver_category().
/// Threads: the loop's.
WEIR_API Future<std::vector<AddressInfo>> getaddrinfo(EventLoop& loop, std::string_view host,
                                                      std::string_view service,
                                                      ResolveOptions options = {});

struct NameInfo {
  std::string host;
  std::string service;
  friend bool operator==(const NameInfo&, const NameInfo&) = default;
};

/// The names of an address; `flags` are NI_NUMERICHOST and so on. Errors and threads as getaddrinfo().
WEIR_API Future<NameInfo> getnameinfo(EventLoop& loop, const Address& address, int flags = 0);

}  // namespace weir::inline v0
