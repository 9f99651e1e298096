#pragma once

#include <weir/tls_context.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "tls_plan.h"

namespace weir::inline v0::detail {

/// What the options of `call`() say of TLS.
struct TlsTerms {
  std::string_view call;
  std::optional<TlsContext> context;
  std::optional<std::string> server_hostname{};
  std::optional<std::chrono::nanoseconds> handshake_timeout;
  std::optional<std::chrono::nanoseconds> shutdown_timeout;
};

/// Of any opener's options; those of a server have no server_hostname.
template <class Options>
TlsTerms tls_terms(std::string_view call, const Options& options) {
  TlsTerms terms{.call = call,
                 .context = options.tls,
                 .handshake_timeout = options.tls_handshake_timeout,
                 .shutdown_timeout = options.tls_shutdown_timeout};
  if constexpr (requires { options.server_hostname; }) {
    terms.server_hostname = options.server_hostname;
  }
  return terms;
}

/// The plan of a client, nothing if there is to be no TLS. Without a server_hostname it is `host`, of which
/// an empty one is none.
/// Throws std::invalid_argument for what does not fit together. [N2, N3, N11, T4]
std::optional<TlsPlan> client_plan(const TlsTerms& terms, const std::optional<std::string>& host);

/// The plan of a server, likewise. [V2, N12]
std::optional<TlsPlan> server_plan(const TlsTerms& terms);

}  // namespace weir::inline v0::detail
