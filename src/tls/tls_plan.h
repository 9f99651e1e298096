#pragma once

#include <weir/tls_context.h>

#include <chrono>
#include <string>

namespace weir::inline v0::detail {

/// How one side of a connection is to do TLS: an opener's options, checked.
struct TlsPlan {
  TlsContext context;
  /// Of clients: for SNI, and whom the certificate must be of; empty: neither. [N3]
  std::string server_hostname{};
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(60);  // [T4]
  std::chrono::nanoseconds shutdown_timeout = std::chrono::seconds(30);   // [T9]
};

}  // namespace weir::inline v0::detail
