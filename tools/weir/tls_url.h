// What follows the '?' of tls://HOST:PORT, made into the context of a connection.
#pragma once

#include <string_view>

#include "url.h"

namespace weir_tool {

/// Reads `query`, the files that it names, and, for a listening end without ?cert=, makes a throw-away
/// certificate where `role` allows that. `text` is the whole URL, for messages.
/// Throws UsageError and RunError.
TlsUrl make_tls_url(HostAndPort endpoint, std::string_view query, std::string_view text,
                    UrlRole role);

/// Two that trust nobody but each other.
struct TlsPair {
  TlsUrl server;
  TlsUrl client;
};

/// A server with a throw-away certificate, and its client.
/// Throws RunError, and weir::UnsupportedOperationError in a build without TLS.
TlsPair make_tls_pair(const HostAndPort& endpoint);

}  // namespace weir_tool
