#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <weir/tls.h>

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <system_error>

#include "openssl_handles.h"
#include "tls_context_core.h"
#include "tls_errors.h"

namespace weir::test {

/// Two ends of a TLS connection in memory, as far as their handshake came.
class Handshake {
 public:
  Handshake(const TlsContext& client, const TlsContext& server, const std::string& server_name = "",
            const std::function<void(SSL*)>& prepare_client = {})
      : client_(SSL_new(detail::TlsContextCore::of(client).native())),
        server_(SSL_new(detail::TlsContextCore::of(server).native())) {
    constexpr std::size_t plenty = 1 << 20;
    BIO* one = nullptr;
    BIO* other = nullptr;
    EXPECT_EQ(BIO_new_bio_pair(&one, plenty, &other, plenty), 1);
    SSL_set_bio(client_.get(), one, one);
    SSL_set_bio(server_.get(), other, other);
    SSL_set_connect_state(client_.get());
    SSL_set_accept_state(server_.get());
    if (!server_name.empty()) {
      EXPECT_EQ(SSL_set_tlsext_host_name(client_.get(), server_name.c_str()), 1);
      if (detail::TlsContextCore::of(client).check_hostname()) {
        EXPECT_EQ(SSL_set1_host(client_.get(), server_name.c_str()), 1);
      }
      detail::TlsContextCore::of(client).resume(client_.get(), server_name);
    }
    if (prepare_client) prepare_client(client_.get());
    run();
  }

  SSL* client() const { return client_.get(); }
  SSL* server() const { return server_.get(); }

  /// Why an end failed; empty if it did not.
  const std::string& client_error() const { return client_error_; }
  const std::string& server_error() const { return server_error_; }
  std::error_code client_code() const { return client_code_; }
  std::error_code server_code() const { return server_code_; }
  bool is_done() const {
    return client_error_.empty() && server_error_.empty() && SSL_is_init_finished(client()) == 1 &&
           SSL_is_init_finished(server()) == 1;
  }

  std::string version() const { return SSL_get_version(client()); }
  std::string cipher() const { return SSL_get_cipher_name(client()); }
  bool is_resumed() const { return SSL_session_reused(client()) == 1; }
  std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(client(), &name, &size);
    return std::string(name, name + size);
  }
  /// The common name of the server's certificate.
  std::string served_by() const {
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(client())),
                              NID_commonName, name, sizeof(name));
    return name;
  }

 private:
  /// One step; true while there may be another.
  static bool step(SSL* ssl, std::string& error, std::error_code& code) {
    if (!error.empty()) return false;
    // After its handshake, reading takes tickets and alerts.
    char byte = 0;
    const int result =
        SSL_is_init_finished(ssl) == 1 ? SSL_read(ssl, &byte, 1) : SSL_do_handshake(ssl);
    if (result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ) return true;
    try {
      std::rethrow_exception(detail::ssl_failure(ssl, "handshake"));
    } catch (const std::system_error& failure) {
      error = failure.what();
      code = failure.code();
    }
    EXPECT_EQ(ERR_peek_error(), 0U) << "an error is left in the queue";
    return false;
  }

  void run() {
    constexpr int enough = 10;
    for (int i = 0; i < enough; ++i) {
      step(client_.get(), client_error_, client_code_);
      step(server_.get(), server_error_, server_code_);
    }
    if (client_error_.empty() && server_error_.empty()) {
      EXPECT_EQ(SSL_is_init_finished(client()), 1) << SSL_state_string_long(client());
    }
    // Else the sessions of a client could not be resumed.
    SSL_set_quiet_shutdown(client(), 1);
    SSL_shutdown(client());
  }

  detail::SslPtr client_;
  detail::SslPtr server_;
  std::string client_error_;
  std::string server_error_;
  std::error_code client_code_;
  std::error_code server_code_;
};

}  // namespace weir::test
