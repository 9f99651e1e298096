#include "tls_errors.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <exception>
#include <string>
#include <system_error>

#include "certificate_info.h"
#include "ssl_note.h"

namespace weir::inline v0 {
namespace detail {
namespace {

class TlsCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tls"; }
  std::string message(int code) const override {
    const char* const words = ERR_reason_error_string(static_cast<unsigned long>(code));
    return words != nullptr ? words : "unknown error of the TLS library";
  }
};

class CertificateCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "certificate"; }
  std::string message(int code) const override { return X509_verify_cert_error_string(code); }
};

bool is_mismatch(int error) noexcept {
  return error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

/// "2026-01-31 23:59:59 UTC"
std::string words_of(std::chrono::sys_seconds time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  std::array<char, 64> text{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "an unknown time";
  const std::size_t size = std::strftime(text.data(), text.size(), "%F %T UTC", &parts);
  return std::string(text.data(), size);
}

/// Of `known`, what `error` is about.
std::string details_of(const PeerCertificate& known, int error) {
  if (error == X509_V_ERR_CERT_HAS_EXPIRED) return " valid until " + words_of(known.not_after);
  if (error == X509_V_ERR_CERT_NOT_YET_VALID) return " valid from " + words_of(known.not_before);
  if (!is_mismatch(error)) return {};
  if (known.subject_alternative_names.empty()) return " for no name";
  std::string words;
  for (const auto& [type, value] : known.subject_alternative_names) {
    words.append(words.empty() ? " for " : ", ").append(type).append(":").append(value);
  }
  return words;
}

/// `certificate "CN=example.org" for DNS:example.org, issued by "CN=Authority"`
std::string words_of(X509* certificate, int error) {
  const PeerCertificate known = certificate_info(certificate);
  std::string words = "certificate \"" + known.subject + '"' + details_of(known, error);
  if (known.issuer != known.subject) words += ", issued by \"" + known.issuer + '"';
  return words;
}

bool is_refused_certificate(std::error_code code) noexcept {
  return code.category() == tls_category() &&
         ERR_GET_LIB(static_cast<unsigned long>(code.value())) == ERR_LIB_SSL &&
         ERR_GET_REASON(static_cast<unsigned long>(code.value())) ==
             SSL_R_CERTIFICATE_VERIFY_FAILED;
}

}  // namespace

std::error_code take_openssl_error() noexcept {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(error)) return {ERR_GET_REASON(error), std::system_category()};
  if (error == 0) return {ERR_PACK(ERR_LIB_SSL, 0, ERR_R_INTERNAL_ERROR), tls_category()};
  return {static_cast<int>(error), tls_category()};
}

TlsError tls_error(const std::string& what) { return TlsError(take_openssl_error(), what); }

std::exception_ptr ssl_failure(const SSL* ssl, const std::string& what) noexcept {
  const std::error_code code = take_openssl_error();
  try {
    if (!is_refused_certificate(code)) return std::make_exception_ptr(TlsError(code, what));
    const std::string* const words = note_of(ssl, SslNote::refused_certificate);
    return std::make_exception_ptr(
        CertificateError({static_cast<int>(SSL_get_verify_result(ssl)), certificate_category()},
                         words != nullptr ? what + ": " + *words : what));
  } catch (...) {
    return std::current_exception();  // no memory
  }
}

int remember_refused_certificate(int accepted, X509_STORE_CTX* verification) noexcept {
  if (accepted != 0) return accepted;
  auto* const ssl = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509* const certificate = X509_STORE_CTX_get_current_cert(verification);
  if (ssl == nullptr || certificate == nullptr) return accepted;
  try {
    const int error = X509_STORE_CTX_get_error(verification);
    // Without memory the error is told without these words.
    static_cast<void>(set_note(ssl, SslNote::refused_certificate, words_of(certificate, error)));
  } catch (const std::exception&) {
  }
  return accepted;
}

}  // namespace detail

TlsError::~TlsError() = default;
CertificateError::~CertificateError() = default;

const std::error_category& tls_category() noexcept {
  // Never destroyed: errors may be read after main() returned.
  static const auto* const category = new detail::TlsCategory;
  return *category;
}

const std::error_category& certificate_category() noexcept {
  static const auto* const category = new detail::CertificateCategory;
  return *category;
}

}  // namespace weir::inline v0
