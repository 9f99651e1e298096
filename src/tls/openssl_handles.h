#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

// What OpenSSL allocates, with an owner.
namespace weir::inline v0::detail {

/// Calls the function of OpenSSL that frees a T.
template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using BioPtr = std::unique_ptr<BIO, FreeWith<&BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeWith<&X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<&EVP_PKEY_free>>;
using RevocationListPtr = std::unique_ptr<X509_CRL, FreeWith<&X509_CRL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, FreeWith<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, FreeWith<&SSL_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, FreeWith<&SSL_SESSION_free>>;

}  // namespace weir::inline v0::detail
