#pragma once

#include <weir/tls_context.h>

#include <openssl/ssl.h>

#include <optional>
#include <string>
#include <vector>

#include "key_log.h"
#include "openssl_handles.h"
#include "server_names.h"
#include "session_cache.h"

namespace weir::inline v0::detail {

/// What the copies of a TlsContext share: an SSL_CTX, with all that its callbacks need. Immutable but for
/// the sessions that a client keeps, which have a lock of their own. Threads: any.
///
/// An SSL object made of native() has the modes that TlsEngine needs, tells ssl_failure() of certificates,
/// and, of a client, has the flags for checking a host's name: the name or address is left to set, if
/// check_hostname().
class TlsContextCore {
 public:
  static TlsContext make_client(const TlsOptions& options);
  static TlsContext make_server(const TlsOptions& options);
  static const TlsContextCore& of(const TlsContext& context) noexcept { return *context.core_; }

  TlsContextCore(const TlsContextCore&) = delete;
  TlsContextCore& operator=(const TlsContextCore&) = delete;
  ~TlsContextCore();

  SSL_CTX* native() const noexcept { return native_.get(); }
  bool is_server() const noexcept { return is_server_; }
  bool has_server_names() const noexcept { return !server_names_.empty(); }
  /// Of a client that verifies, and is not told otherwise.
  bool check_hostname() const noexcept { return check_hostname_; }

  /// Of a client, before its handshake: offers the last session with `server_name`, and keeps those that
  /// this connection gets. Does nothing without a name, or if the options say so.
  void resume(SSL* ssl, const std::string& server_name) const noexcept;

 private:
  TlsContextCore(const TlsOptions& options, bool is_server);

  void set_up_trust(const TlsOptions& options);
  void set_up_resumption();
  void set_up_alpn();

  /// The core whose context `ssl` uses now: its callbacks ask for it.
  static const TlsContextCore& of(const SSL* ssl) noexcept;
  /// Makes `ssl`, in its ClientHello, one of this context. False if OpenSSL refuses.
  bool adopt(SSL* ssl) const noexcept;

  // Callbacks of OpenSSL; see its manual of SSL_CTX_set_..._cb().
  static int on_client_hello(SSL* ssl, int* alert, void* core) noexcept;
  static int on_alpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                     const unsigned char* offered, unsigned int offered_size, void* core) noexcept;
  static int on_new_session(SSL* ssl, SSL_SESSION* session) noexcept;
  static void on_key_log(const SSL* ssl, const char* line) noexcept;

  SslContextPtr native_;
  bool is_server_;
  bool check_hostname_ = false;
  bool resumes_sessions_;
  std::vector<unsigned char> alpn_;  // as alpn_list()
  ServerNames server_names_;
  std::optional<KeyLog> key_log_;
  mutable SessionCache sessions_;
};

}  // namespace weir::inline v0::detail
