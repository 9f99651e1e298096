#pragma once

#include <weir/tls_context.h>

namespace weir::destroyer {

/// Whether this build has TLS.
bool has_tls();
/// Contexts for one another, made once; neither keeps sessions, so that no run depends on those before it.
const TlsContext& client_tls();
const TlsContext& server_tls();
/// From here on OpenSSL draws the same random numbers, in this thread and all others.
void restart_tls_randomness();

}  // namespace weir::destroyer
