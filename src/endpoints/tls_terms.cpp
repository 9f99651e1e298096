#include "tls_terms.h"

#include <stdexcept>

namespace weir::inline v0::detail {
namespace {

[[noreturn]] void refuse(const TlsTerms& terms, std::string_view what) {
  throw std::invalid_argument(std::string(terms.call) + ": " + std::string(what));
}

/// Throws unless it is there only if TLS is, and positive.
void check_timeout(const TlsTerms& terms, std::string_view name,
                   const std::optional<std::chrono::nanoseconds>& timeout) {
  if (!timeout) return;
  if (!terms.context)
    refuse(terms, std::string(name) + " is for TLS only: there is no tls context");
  if (*timeout <= std::chrono::nanoseconds::zero()) {
    refuse(terms, std::string(name) + " must be positive");
  }
}

/// Throws for what OpenSSL would understand in another way than it looks: with a dot in front any name of a
/// domain, and up to the NUL another name.
void check_hostname(const TlsTerms& terms, const std::string& name) {
  if (!name.starts_with('.') && name.find('\0') == std::string::npos) return;
  refuse(terms, "server_hostname \"" + name +
                    "\" cannot be a host's name: it begins with a dot, or has a NUL");
}

/// What clients and servers have in common.
std::optional<TlsPlan> plan_of(const TlsTerms& terms) {
  check_timeout(terms, "tls_handshake_timeout", terms.handshake_timeout);
  check_timeout(terms, "tls_shutdown_timeout", terms.shutdown_timeout);
  if (!terms.context) return std::nullopt;
  TlsPlan plan{.context = *terms.context};
  if (terms.handshake_timeout) plan.handshake_timeout = *terms.handshake_timeout;
  if (terms.shutdown_timeout) plan.shutdown_timeout = *terms.shutdown_timeout;
  return plan;
}

}  // namespace

std::optional<TlsPlan> client_plan(const TlsTerms& terms, const std::optional<std::string>& host) {
  if (terms.server_hostname && !terms.context) {
    refuse(terms, "server_hostname is for TLS only: there is no tls context");
  }
  std::optional<TlsPlan> plan = plan_of(terms);
  if (!plan) return plan;
  if (plan->context.is_server()) {
    refuse(terms, "a client needs a context of TlsContext::client(), not of TlsContext::server()");
  }
  if (!terms.server_hostname && host.value_or("").empty()) {
    refuse(terms,
           "without a host, TLS needs a server_hostname: whom the certificate must be of, or empty "
           "for no check");
  }
  plan->server_hostname = terms.server_hostname ? *terms.server_hostname : *host;
  check_hostname(terms, plan->server_hostname);
  return plan;
}

std::optional<TlsPlan> server_plan(const TlsTerms& terms) {
  std::optional<TlsPlan> plan = plan_of(terms);
  if (plan && !plan->context.is_server()) {
    refuse(terms, "a server needs a context of TlsContext::server(), not of TlsContext::client()");
  }
  return plan;
}

}  // namespace weir::inline v0::detail
