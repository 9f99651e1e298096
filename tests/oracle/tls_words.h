#pragma once

#include <weir/tls.h>

#include <chrono>
#include <optional>
#include <string>

#include "scenario.h"

namespace weir::oracle {

/// What the words of a step say of TLS: `tls`, and options as README.md lists them.
struct TlsWords {
  std::optional<TlsContext> context{};
  std::optional<std::string> server_hostname{};
  std::optional<std::chrono::nanoseconds> handshake_timeout{};
  std::optional<std::chrono::nanoseconds> shutdown_timeout{};

  /// Puts it into the options of an opener.
  template <class Options>
  void set_in(Options& options) const {
    options.tls_handshake_timeout = handshake_timeout;
    options.tls_shutdown_timeout = shutdown_timeout;
    if constexpr (requires { options.tls; }) options.tls = context;
    if constexpr (requires { options.server_hostname; }) options.server_hostname = server_hostname;
  }
};

/// Of a server; its certificates are in the directory `certificates`.
TlsWords server_tls(const Words& words, const std::string& certificates);
/// Of a client, which expects `name` unless the words say another.
TlsWords client_tls(const Words& words, const std::string& certificates,
                    const std::optional<std::string>& name);

}  // namespace weir::oracle
