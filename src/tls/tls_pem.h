#pragma once

#include <weir/tls_context.h>

#include <string>
#include <string_view>
#include <vector>

#include "openssl_handles.h"

// Reading what a Pem has. `field` is the option it was given by, for the words of an error; `where` in
// such words is the file's name in quotes, or "the text". A file that cannot be read is a
// std::system_error; what is wrong with its contents is a TlsError.
namespace weir::inline v0::detail {

/// `"/etc/server.pem"`, or "the text": where something was found.
std::string place_of(const Pem& pem);

/// All certificates of `pem`, in order; one at least.
std::vector<CertificatePtr> load_certificates(const Pem& pem, std::string_view field);

/// All revocation lists of `pem`; one at least.
std::vector<RevocationListPtr> load_revocation_lists(const Pem& pem, std::string_view field);

/// The first private key of `pem`. `password` is that of an encrypted one.
KeyPtr load_private_key(const Pem& pem, std::string_view field, const std::string& password);

}  // namespace weir::inline v0::detail
