#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace weir::inline v0 {

/// What encrypts a TLS connection, as get_extra_info("cipher") tells. [X4]
struct TlsCipher {
  std::string name;     ///< "TLS_AES_256_GCM_SHA384"
  std::string version;  ///< the protocol that defined it: "TLSv1.3"
  int bits = 0;         ///< of its secret key
  friend bool operator==(const TlsCipher&, const TlsCipher&) = default;
};

/// The certificate of the peer, as get_extra_info("peercert") tells. Nobody vouches for what it says
/// where the context verifies nothing. [X4]
struct PeerCertificate {
  /// Whom a certificate is for, besides its subject: type "DNS", "IP Address", "email" or "URI", as
  /// asyncio names them; of other types there is none.
  struct AlternativeName {
    std::string type;
    std::string value;
    friend bool operator==(const AlternativeName&, const AlternativeName&) = default;
  };

  /// Distinguished names as RFC 2253 writes them, the most special part first: "CN=example.org,O=Example".
  std::string subject;
  std::string issuer;
  /// Hexadecimal, in capitals.
  std::string serial_number;
  std::chrono::sys_seconds not_before{};
  std::chrono::sys_seconds not_after{};
  std::vector<AlternativeName> subject_alternative_names;
  /// All of it, as the peer sent it.
  std::vector<std::byte> der;
  friend bool operator==(const PeerCertificate&, const PeerCertificate&) = default;
};

}  // namespace weir::inline v0
