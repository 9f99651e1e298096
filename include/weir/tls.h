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

class TlsContext;

/// What clients and servers have in common.
struct TlsCommonOptions {
  /// Whose certificates are trusted, instead of the system's.
  std::vector<Pem> trusted{};
  /// Revocation lists of the issuers; with any, each certificate of a chain is looked up. 
  std::vector<Pem> revocation_lists{};
  /// Protocols offered (client, in order of preference) or chosen from (server, likewise). [T28]
  std::vector<std::string> alpn{};
  TlsVersion minimum_version = TlsVersion::tls1_2;
  TlsVersion maximum_version = TlsVersion::tls1_3;
  /// OpenSSL's names, separated by colons: of TLS 1.2 and of TLS 1.3. Empty: the defaults, which are safe.
  std::string ciphers{};
  std::string cipher_suites{};
  /// Appends the secrets of each connection to this file, for Wireshark. For debugging only.
  std::string key_log_file{};
};

struct TlsClientOptions : TlsCommonOptions {
  /// False: any certificate will do. For tests only.
  bool verify = true;
  /// False: the certificate need not be for the host. [T28]
  bool check_hostname = true;
  std::optional<TlsIdentity> identity{};
  /// Keep sessions and resume them: the last one of each server name. 
  bool resume_sessions = true;
};

/// Whether a server asks its clients for a certificate.
enum class ClientCertificates : std::uint8_t { none, optional, required };

struct TlsServerOptions : TlsCommonOptions {
  /// Required.
  std::optional<TlsIdentity> identity{};
  /// Checked against `trusted`, which must then be given.
  ClientCertificates client_certificates = ClientCertificates::none;
  /// By the name that the client asks for ("www.example.org", "*.example.org"); else this one is used.
  std::vector<std::pair<std::string, TlsContext>> server_names{};
  bool session_tickets = true;
};

/// What TLS connections of one kind have in common: certificates, keys, who is trusted. Made once, then
/// used for any number of connections, on any thread; copies share it. Safe by default.
class WEIR_API TlsContext {
 public:
  /// Of a client. Throws TlsError or std::system_error which name the file and what is wrong with it.
  static TlsContext client(TlsClientOptions options = {});
  /// Of a server. The same.
  static TlsContext server(TlsServerOptions options);

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

}  // namespace weir::inline v0
