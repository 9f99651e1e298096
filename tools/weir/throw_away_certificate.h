// A certificate that nobody vouches for, made on the spot: for demonstrations and tests.
#pragma once

#include <weir/weir.h>
#include <string>
#include <vector>

namespace weir_tool {

/// A certificate that its own P-256 key has signed, in memory only; it is valid for a day.
struct ThrowAwayCertificate {
  std::string certificate;  // PEM, as the key
  std::string private_key;
  std::string fingerprint;  // SHA-256, as openssl prints it: "AB:CD:..."

  weir::TlsIdentity identity() const {
    return {.certificate_chain = weir::Pem::text(certificate),
            .private_key = weir::Pem::text(private_key)};
  }
  /// What a client trusts who trusts this one and no other.
  weir::Pem trusted() const { return weir::Pem::text(certificate); }
};

/// One for `hosts`, which are names and addresses.
/// Throws RunError, and weir::UnsupportedOperationError in a build without TLS.
ThrowAwayCertificate make_throw_away_certificate(const std::vector<std::string>& hosts);

}  // namespace weir_tool
