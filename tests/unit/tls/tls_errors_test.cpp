#include "tls_errors.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <weir/tls.h>

#include <exception>
#include <string>
#include <system_error>

#include "openssl_handles.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

// The first error of the queue is the cause; the queue is empty afterwards.
TEST(TlsErrors, FirstOfTheQueue) {
  ERR_raise(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER);
  ERR_raise(ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL);
  const TlsError error = detail::tls_error("handshake");
  EXPECT_STREQ(error.what(), "handshake: wrong version number");
  EXPECT_EQ(error.code().category(), tls_category());
  EXPECT_EQ(ERR_peek_error(), 0U);
}

// An error of the system stays one.
TEST(TlsErrors, OfTheSystem) {
  ERR_raise(ERR_LIB_SYS, ENOENT);
  EXPECT_EQ(detail::take_openssl_error(), std::errc::no_such_file_or_directory);
}

// A failure without an error in the queue is one nevertheless.
TEST(TlsErrors, EmptyQueue) {
  EXPECT_STREQ(detail::tls_error("x").what(), "x: internal error");
  EXPECT_TRUE(detail::take_openssl_error());
}

// A refused certificate is a CertificateError, with or without words for it.
TEST(TlsErrors, RefusedCertificate) {
  const TlsContext context = client_context();
  const detail::SslPtr ssl(SSL_new(static_cast<SSL_CTX*>(context.native_handle())));
  SSL_set_verify_result(ssl.get(), X509_V_ERR_CERT_REVOKED);
  ERR_raise(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
  try {
    std::rethrow_exception(detail::ssl_failure(ssl.get(), "handshake"));
  } catch (const CertificateError& error) {
    EXPECT_STREQ(error.what(), "handshake: certificate revoked");
    EXPECT_EQ(error.code(), std::error_code(X509_V_ERR_CERT_REVOKED, certificate_category()));
  }
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(TlsErrors, Categories) {
  EXPECT_STREQ(tls_category().name(), "tls");
  EXPECT_EQ(tls_category().message(-1), "unknown error of the TLS library");
  EXPECT_STREQ(certificate_category().name(), "certificate");
  EXPECT_EQ(certificate_category().message(X509_V_ERR_CERT_HAS_EXPIRED), "certificate has expired");
}

}  // namespace
}  // namespace weir::test
