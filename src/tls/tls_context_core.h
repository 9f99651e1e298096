#pragma once

#include <weir/tls_context.h>

#include <openssl/ssl.h>

#include <string>

#include "openssl_handles.h"

namespace weir::inline v0::detail {

/// What a TlsContext shares: an SSL_CTX with all that its callbacks need. Immutable but for the
/// sessions that a client keeps, which have a lock of their own. Threads: any.
class TlsContextCore {
 public:
  static TlsContext make_client(const TlsOptions& options);
  static TlsContext make_server(const TlsOptions& options);
  static const TlsContextCore& of(const TlsContext& context) noexcept { return *context.core_; }

  TlsContextCore(const TlsContextCore&) = delete;
  TlsContextCore& operator=(const TlsContextCore&) = delete;
  ~TlsContextCore();

  /// Its SSL objects have the modes that TlsEngine needs, and the flags of a check of the host's name:
  /// what is left for it is SSL_set1_host(), or the address, if check_hostname().
  SSL_CTX* native() const noexcept { return native_.get(); }
  bool is_server() const noexcept { return is_server_; }
  /// Of a client that verifies, and is not told otherwise.
  bool check_hostname() const noexcept { return check_hostname_; }

  /// Of a client, before its handshake: offers the last session with `server_name`, if there is one,
  /// and keeps those that this connection gets. Nothing for an empty name, or where the options say so.
  /// False if OpenSSL is out of memory.
  bool resume(SSL* ssl, const std::string& server_name) const;

 private:
  TlsContextCore(const TlsOptions& options, bool is_server);

  SslContextPtr native_;
  bool is_server_;
  bool check_hostname_ = false;
  bool keeps_sessions_ = false;
};

}  // namespace weir::inline v0::detail
