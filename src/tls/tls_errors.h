#pragma once

#include <weir/tls_context.h>

#include <openssl/ssl.h>

#include <exception>
#include <string>
#include <system_error>

// OpenSSL tells its errors in a queue of the thread. Each function here empties it, so that nothing of
// one failure is told of the next.
namespace weir::inline v0::detail {

/// The first error of the queue, which is the cause of the others: a code of tls_category(), or of
/// std::system_category() where OpenSSL passes on one of the system.
std::error_code take_openssl_error() noexcept;

/// The first error of the queue as a TlsError: "`what`: the library's words".
TlsError tls_error(const std::string& what);

/// Why a call on `ssl` failed, as an exception: a CertificateError that names the peer's certificate if
/// that was refused, else tls_error(what). [T5]
/// Needs SSL_CTX's verify callback to be remember_refused_certificate().
std::exception_ptr ssl_failure(const SSL* ssl, const std::string& what) noexcept;

/// A verify callback of SSL_CTX_set_verify(): decides nothing, but keeps what ssl_failure() tells.
int remember_refused_certificate(int accepted, X509_STORE_CTX* verification) noexcept;

}  // namespace weir::inline v0::detail
