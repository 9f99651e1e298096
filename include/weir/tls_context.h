#pragma once

#include <weir/export.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::inline v0 {

namespace detail {
class TlsContextCore;
}

/// A failure of TLS: the handshake, a record, the peer's alert. Its code is of tls_category(), or of
/// certificate_category() if it is a CertificateError.
class WEIR_API TlsError : public std::system_error {
 public:
  using std::system_error::system_error;
  ~TlsError() override;
};

/// A certificate was refused; what() says which and why. [T5]
class WEIR_API CertificateError : public TlsError {
 public:
  using TlsError::TlsError;
  ~CertificateError() override;
};

/// Codes of the TLS library; a message as the library words it.
WEIR_API const std::error_category& tls_category() noexcept;
/// Codes of certificate verification: OpenSSL's X509_V_ERR_ numbers.
WEIR_API const std::error_category& certificate_category() noexcept;

enum class TlsVersion : std::uint8_t { tls1_2, tls1_3 };

/// Certificates or keys as PEM text: in a file, which is read when the context is made, or in memory.
class WEIR_API Pem {
 public:
  static Pem file(std::string path) { return Pem(std::move(path), true); }
  static Pem text(std::string pem) { return Pem(std::move(pem), false); }

  bool is_file() const noexcept { return is_file_; }
  /// The path, or the text.
  const std::string& value() const noexcept { return value_; }

 private:
  Pem(std::string value, bool is_file) : value_(std::move(value)), is_file_(is_file) {}
  std::string value_;
  bool is_file_;
};

/// Who this side is: its certificate with those that lead to the issuer, and the private key.
struct TlsIdentity {
  Pem certificate_chain;
  /// Unset: it is in the same file or text as the chain.
  std::optional<Pem> private_key{};
  /// Of an encrypted key.
  std::string password{};
};

struct TlsOptions;

/// What TLS connections of one kind have in common: certificates, keys, who is trusted. Made once, then
/// used for any number of connections, on any thread; copies share it.
///
/// Safe by default: TLS 1.2 and 1.3, ciphers with forward secrecy, no compression, no renegotiation; a
/// client verifies the server and its name. Certificates must keep to RFC 5280 (OpenSSL's
/// X509_V_FLAG_X509_STRICT), and one that is trusted need not be a root, as in asyncio.
class WEIR_API TlsContext {
 public:
  /// Of a client that trusts whom the system trusts.
  static TlsContext client();
  /// Of a client. Throws std::invalid_argument for an option that cannot be meant so, std::system_error
  /// for a file that cannot be read, and TlsError for what is in it; each names the option, the file and
  /// what is wrong. UnsupportedOperationError in a build without TLS.
  static TlsContext client(const TlsOptions& options);
  /// Of a server; throws the same.
  static TlsContext server(const TlsOptions& options);

  bool is_server() const noexcept;
  /// OpenSSL's SSL_CTX*, for what is not offered here: before the first connection uses it. It lives as
  /// long as the context.
  void* native_handle() const noexcept;

  friend bool operator==(const TlsContext&, const TlsContext&) = default;

 private:
  friend class detail::TlsContextCore;
  explicit TlsContext(std::shared_ptr<const detail::TlsContextCore> core) noexcept
      : core_(std::move(core)) {}
  std::shared_ptr<const detail::TlsContextCore> core_;
};

/// Whether the peer's certificate is asked for and checked.
enum class PeerVerification : std::uint8_t {
  none,      ///< not asked for (server), or any will do (client: for tests only)
  optional,  ///< a client need not have one, but what it has is checked; servers only
  required,
};

/// What a TlsContext is made of. What a side has no use for must be left alone: the factories refuse it.
struct TlsOptions {
  /// A server must have one; a client may.
  std::optional<TlsIdentity> identity{};
  /// Unset: a client requires the server's certificate, a server asks for none. [N3]
  std::optional<PeerVerification> verification{};
  /// Clients: the certificate must be for the host. [T28]
  bool check_hostname = true;
  /// Whose certificates are trusted. None: the system's for a client; a server that verifies must have some.
  std::vector<Pem> trusted{};
  /// Revocation lists of the issuers; with any, each certificate of a chain must be in the scope of one.
  std::vector<Pem> revocation_lists{};
  /// Protocols that a client offers, or a server chooses from, the preferred one first. [T28]
  std::vector<std::string> alpn{};
  TlsVersion minimum_version = TlsVersion::tls1_2;
  TlsVersion maximum_version = TlsVersion::tls1_3;
  /// OpenSSL's names, separated by colons: of TLS 1.2 and of TLS 1.3. Empty: the defaults, which are safe.
  std::string ciphers{};
  std::string cipher_suites{};
  /// Servers: the context by the name that the client asks for, "www.example.org" or "*.example.org";
  /// for any other name it is this one.
  std::vector<std::pair<std::string, TlsContext>> server_names{};
  /// Clients keep the last session of each server name and resume it; servers give out tickets.
  bool resume_sessions = true;
  /// Appends the secrets of each connection to this file, for Wireshark. For debugging only.
  std::string key_log_file{};
};

}  // namespace weir::inline v0
