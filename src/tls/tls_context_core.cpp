#include "tls_context_core.h"

#include <weir/tls_context.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cassert>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "openssl_handles.h"
#include "ssl_note.h"
#include "tls_choices.h"
#include "tls_errors.h"
#include "tls_pem.h"

namespace weir::inline v0::detail {
namespace {

constexpr unsigned long revocation_flags = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;

int core_index() noexcept {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int number_of(TlsVersion version) noexcept {
  return version == TlsVersion::tls1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

PeerVerification verification_of(const TlsOptions& options, bool is_server) {
  return options.verification.value_or(is_server ? PeerVerification::none
                                                 : PeerVerification::required);
}

int verify_mode(PeerVerification verification) noexcept {
  switch (verification) {
    case PeerVerification::none: return SSL_VERIFY_NONE;
    case PeerVerification::optional: return SSL_VERIFY_PEER;
    case PeerVerification::required: break;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

void refuse_if(bool wrong, const char* why) {
  if (wrong) throw std::invalid_argument(std::string("TlsOptions::") + why);
}

/// What cannot be meant so, or is not for this side.
void check_options(const TlsOptions& options, bool is_server) {
  refuse_if(options.minimum_version > options.maximum_version,
            "minimum_version: is over maximum_version");
  if (is_server) {
    refuse_if(!options.identity, "identity: a server must have one");
    refuse_if(!options.check_hostname, "check_hostname: is for clients, a server checks none");
  } else {
    refuse_if(options.verification == PeerVerification::optional,
              "verification: optional is for servers, a server always has a certificate");
    refuse_if(!options.server_names.empty(), "server_names: is for servers");
  }
  const bool verifies = verification_of(options, is_server) != PeerVerification::none;
  refuse_if(is_server && verifies && options.trusted.empty(),
            "trusted: a server that verifies clients must trust some issuer");
  refuse_if(!verifies && !options.trusted.empty(), "trusted: is of no use without verification");
  refuse_if(!verifies && !options.revocation_lists.empty(),
            "revocation_lists: is of no use without verification");
}

SslContextPtr make_native(bool is_server) {
  SslContextPtr context(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()));
  if (context == nullptr) throw tls_error("cannot make a TLS context");
  return context;
}

void check(bool done, const char* what) {
  if (!done) throw tls_error(what);
}

/// What all contexts have, whatever the configuration file of the system says.
void set_up_defaults(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // an idle connection owns no buffer
  SSL_CTX_set_read_ahead(context, 0);
  SSL_CTX_set_security_level(context, 2);
  check(SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1, "cannot set the groups");
}

void set_up_protocol(SSL_CTX* context, const TlsOptions& options) {
  check(SSL_CTX_set_min_proto_version(context, number_of(options.minimum_version)) == 1 &&
            SSL_CTX_set_max_proto_version(context, number_of(options.maximum_version)) == 1,
        "cannot set the versions of TLS");
  set_ciphers(context, options.ciphers);
  set_cipher_suites(context, options.cipher_suites);
}

void set_up_identity(SSL_CTX* context, const TlsIdentity& identity) {
  std::vector<CertificatePtr> chain =
      load_certificates(identity.certificate_chain, "TlsIdentity::certificate_chain");
  const Pem& key_pem = identity.private_key ? *identity.private_key : identity.certificate_chain;
  const KeyPtr key = load_private_key(key_pem, "TlsIdentity::private_key", identity.password);
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    throw tls_error("TlsIdentity::private_key: the key in " + place_of(key_pem) +
                    " is not that of the first certificate in " +
                    place_of(identity.certificate_chain));
  }
  const std::unique_ptr<STACK_OF(X509),
                        decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>
      issuers(sk_X509_new_null());
  if (issuers == nullptr) throw std::bad_alloc();
  for (const CertificatePtr& issuer : std::span(chain).subspan(1)) {
    if (sk_X509_push(issuers.get(), issuer.get()) == 0) throw std::bad_alloc();
  }
  if (SSL_CTX_use_cert_and_key(context, chain.front().get(), key.get(), issuers.get(), 1) != 1) {
    throw tls_error("TlsIdentity::certificate_chain: a certificate in " +
                    place_of(identity.certificate_chain) + " cannot be used");
  }
}

}  // namespace

TlsContextCore::TlsContextCore(const TlsOptions& options, bool is_server)
    : native_((check_options(options, is_server), make_native(is_server))),
      is_server_(is_server),
      resumes_sessions_(options.resume_sessions),
      alpn_(alpn_list(options.alpn)),
      server_names_(options.server_names) {
  SSL_CTX* const context = native();
  check(SSL_CTX_set_ex_data(context, core_index(), this) == 1, "cannot make a TLS context");
  set_up_defaults(context);
  set_up_protocol(context, options);
  if (options.identity) set_up_identity(context, *options.identity);
  set_up_trust(options);
  set_up_resumption();
  set_up_alpn();
  if (has_server_names()) SSL_CTX_set_client_hello_cb(context, &on_client_hello, this);
  if (!options.key_log_file.empty()) {
    key_log_.emplace(options.key_log_file);
    SSL_CTX_set_keylog_callback(context, &on_key_log);
  }
}

TlsContextCore::~TlsContextCore() = default;

TlsContext TlsContextCore::make_client(const TlsOptions& options) {
  return TlsContext(std::shared_ptr<const TlsContextCore>(new TlsContextCore(options, false)));
}

TlsContext TlsContextCore::make_server(const TlsOptions& options) {
  return TlsContext(std::shared_ptr<const TlsContextCore>(new TlsContextCore(options, true)));
}

void TlsContextCore::set_up_trust(const TlsOptions& options) {
  SSL_CTX* const context = native();
  const PeerVerification verification = verification_of(options, is_server_);
  check_hostname_ = !is_server_ && options.check_hostname && verification != PeerVerification::none;
  SSL_CTX_set_verify(context, verify_mode(verification), &remember_refused_certificate);

  // As asyncio's: a certificate that is trusted need not be a root, and the rules of RFC 5280 hold.
  X509_VERIFY_PARAM* const rules = SSL_CTX_get0_param(context);
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT;
  if (!options.revocation_lists.empty()) flags |= revocation_flags;
  check(X509_VERIFY_PARAM_set_flags(rules, flags) == 1, "cannot set the rules of verification");
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);

  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const Pem& pem : options.trusted) {
    for (const CertificatePtr& certificate : load_certificates(pem, "TlsOptions::trusted")) {
      check(X509_STORE_add_cert(store, certificate.get()) == 1, "TlsOptions::trusted");
      // A client that has several certificates chooses by these names.
      if (is_server_) {
        check(SSL_CTX_add_client_CA(context, certificate.get()) == 1, "TlsOptions::trusted");
      }
    }
  }
  for (const Pem& pem : options.revocation_lists) {
    for (const RevocationListPtr& list :
         load_revocation_lists(pem, "TlsOptions::revocation_lists")) {
      check(X509_STORE_add_crl(store, list.get()) == 1, "TlsOptions::revocation_lists");
    }
  }
  if (verification != PeerVerification::none && options.trusted.empty()) {
    check(SSL_CTX_set_default_verify_paths(context) == 1,
          "cannot load the certificates that the system trusts");
  }
}

void TlsContextCore::set_up_resumption() {
  SSL_CTX* const context = native();
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (!resumes_sessions_) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    check(SSL_CTX_set_num_tickets(context, 0) == 1, "TlsOptions::resume_sessions");
  } else if (!is_server_) {
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, &on_new_session);
  }
  if (is_server_) {
    // Whose client was verified by one context is not let in by another: tickets of all names have the
    // same key. That key goes with the context, so its address does for a name.
    const TlsContextCore* const self = this;
    check(SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(&self),
                                         sizeof(self)) == 1,  // NOLINT(bugprone-sizeof-expression)
          "TlsOptions::resume_sessions");
  }
}

void TlsContextCore::set_up_alpn() {
  if (alpn_.empty()) return;
  if (is_server_) {
    SSL_CTX_set_alpn_select_cb(native(), &on_alpn, this);
  } else {
    check(SSL_CTX_set_alpn_protos(native(), alpn_.data(),
                                  static_cast<unsigned int>(alpn_.size())) == 0,
          "TlsOptions::alpn");
  }
}

void TlsContextCore::resume(SSL* ssl, const std::string& server_name) const noexcept {
  if (!resumes_sessions_ || server_name.empty()) return;
  try {
    if (!set_note(ssl, SslNote::server_name, server_name)) return;
    const SslSessionPtr session = sessions_.take(server_name);
    if (session != nullptr && SSL_set_session(ssl, session.get()) != 1) ERR_clear_error();
  } catch (const std::exception&) {
    // No memory: the handshake is a full one.
  }
}

const TlsContextCore& TlsContextCore::of(const SSL* ssl) noexcept {
  return *static_cast<const TlsContextCore*>(
      SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), core_index()));
}

bool TlsContextCore::adopt(SSL* ssl) const noexcept {
  SSL_CTX* const context = native();
  // This brings the identity, who is trusted, the ciphers and ALPN. The rest an SSL object has of its own.
  if (SSL_set_SSL_CTX(ssl, context) == nullptr) return false;
  SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), SSL_CTX_get_verify_callback(context));
  X509_VERIFY_PARAM_clear_flags(SSL_get0_param(ssl), revocation_flags);
  SSL_clear_options(ssl, SSL_get_options(ssl));
  SSL_set_options(ssl, SSL_CTX_get_options(context));
  return SSL_set1_param(ssl, SSL_CTX_get0_param(context)) == 1 &&
         SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(context)) == 1 &&
         SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(context)) == 1 &&
         SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(context)) == 1;
}

int TlsContextCore::on_client_hello(SSL* ssl, int* alert, void* core) noexcept {
  // Here and not in the callback for names, which comes after the session was resumed.
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) != 1) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  try {
    const std::optional<std::string_view> name = name_in_extension({extension, size});
    const TlsContext* const context =
        name ? static_cast<const TlsContextCore*>(core)->server_names_.find(*name) : nullptr;
    if (context == nullptr || of(*context).adopt(ssl)) return SSL_CLIENT_HELLO_SUCCESS;
  } catch (const std::exception&) {
    // No memory.
  }
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

int TlsContextCore::on_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                            const unsigned char* offered, unsigned int offered_size,
                            void* core) noexcept {
  const std::vector<unsigned char>& ours = static_cast<const TlsContextCore*>(core)->alpn_;
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, chosen_size, ours.data(),
                            static_cast<unsigned int>(ours.size()), offered, offered_size);
  *chosen = found;
  // Fatal is OpenSSL's word for the alert no_application_protocol.
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int TlsContextCore::on_new_session(SSL* ssl, SSL_SESSION* session) noexcept {
  const std::string* const server_name = note_of(ssl, SslNote::server_name);
  if (server_name == nullptr) return 0;
  try {
    std::string name = *server_name;
    if (SSL_SESSION_up_ref(session) == 1) {
      of(ssl).sessions_.keep(std::move(name), SslSessionPtr(session));
    }
  } catch (const std::exception&) {
    // No memory: this session is not resumed.
  }
  return 0;
}

void TlsContextCore::on_key_log(const SSL* ssl, const char* line) noexcept {
  of(ssl).key_log_->append(line);
}

}  // namespace weir::inline v0::detail

namespace weir::inline v0 {

TlsContext TlsContext::client() { return client(TlsOptions()); }

TlsContext TlsContext::client(const TlsOptions& options) {
  return detail::TlsContextCore::make_client(options);
}

TlsContext TlsContext::server(const TlsOptions& options) {
  return detail::TlsContextCore::make_server(options);
}

bool TlsContext::is_server() const noexcept { return core_->is_server(); }

void* TlsContext::native_handle() const noexcept { return core_->native(); }

}  // namespace weir::inline v0
