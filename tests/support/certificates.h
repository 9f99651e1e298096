#pragma once

#include <weir/tls_context.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir::test {

/// What a certificate is to say.
struct CertificateOptions {
  std::string common_name = "weir test";
  /// DNS names and addresses that it is for: "example.org", "*.example.org", "127.0.0.1", "::1".
  std::vector<std::string> names{};
  /// When it begins and ends to be valid, counted from now; else it is for decades, and the same at any time.
  std::optional<std::chrono::seconds> not_before{};
  std::optional<std::chrono::seconds> not_after{};
  /// May issue others.
  bool is_authority = false;
  /// For a client, and not for a server.
  bool is_client = false;
  /// Has a key of RSA with 1024 bits, which TLS does not take any more.
  bool is_weak = false;
  /// Says by which key it was signed, as RFC 5280 wants.
  bool has_key_identifiers = true;
};

/// A throw-away certificate, with its key (EC P-256) and those that lead to its root; all in memory.
/// Copies are cheap. Throws std::runtime_error if OpenSSL refuses.
class TestCertificate {
 public:
  /// Signed by itself.
  explicit TestCertificate(const CertificateOptions& options);
  static TestCertificate authority(const std::string& common_name = "Weir Test Authority") {
    return TestCertificate({.common_name = common_name, .is_authority = true});
  }

  /// A certificate that this one signs.
  TestCertificate issue(const CertificateOptions& options) const;
  TestCertificate intermediate(const std::string& common_name = "Weir Test Intermediate") const {
    return issue({.common_name = common_name, .is_authority = true});
  }
  /// Of a server, named like the first of `names`.
  TestCertificate server(const std::vector<std::string>& names = {"localhost", "127.0.0.1",
                                                                  "::1"}) const {
    return issue({.common_name = names.front(), .names = names});
  }
  TestCertificate client(const std::string& common_name = "client") const {
    return issue({.common_name = common_name, .is_client = true});
  }

  /// As PEM: this certificate; and with its intermediates, but without the root, as a server sends it.
  std::string certificate() const;
  std::string chain() const;
  std::string key() const;
  std::string encrypted_key(const std::string& password) const;
  /// Its bytes.
  std::string der() const;
  /// Hexadecimal, in capitals.
  std::string serial_number() const;
  /// What this one, an authority, has revoked; as PEM, valid for an hour.
  std::string revocation_list(const std::vector<TestCertificate>& revoked = {}) const;

  /// Chain and key, in memory.
  TlsIdentity identity() const {
    return {.certificate_chain = Pem::text(chain()), .private_key = Pem::text(key())};
  }
  /// To be put in TlsOptions::trusted.
  Pem trusted() const { return Pem::text(certificate()); }

 private:
  struct Parts;
  TestCertificate(const CertificateOptions& options, std::shared_ptr<const Parts> issuer);
  std::shared_ptr<const Parts> parts_;
};

}  // namespace weir::test
