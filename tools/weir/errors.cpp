#include "errors.h"

#include <fmt/format.h>

#include <weir/weir.h>

namespace weir_tool {
namespace {

bool is_resolver_error(const std::error_code& code) {
  return code.category() == weir::resolver_category();
}

/// The host of a URL that has one, without the scheme and the port.
std::string host_of(const Url& url) {
  if (const auto* tcp = std::get_if<TcpUrl>(&url)) return tcp->host;
  if (const auto* tls = std::get_if<TlsUrl>(&url)) return tls->host;
  if (const auto* udp = std::get_if<UdpUrl>(&url)) return udp->host;
  return to_string(url);
}

RunError cannot_resolve(const Url& url, const std::error_code& code) {
  return RunError(fmt::format("cannot find host '{}': {}; check the spelling, or write its address",
                              host_of(url), code.message()));
}

std::string_view connect_advice(const Url& url, const std::error_code& code) {
  if (is<ExecUrl>(url)) return "check the limits of processes and descriptors (ulimit -a)";
  if (code == std::errc::connection_refused) return "start a server there first, e.g. weir echo";
  if (code == std::errc::too_many_files_open) return "raise the limit (ulimit -n)";
  if (code == std::errc::permission_denied) return "its owner has to let you in";
  if (is<UnixUrl>(url)) {
    if (code == std::errc::no_such_file_or_directory) return "start a server there first";
    if (code == std::errc::resource_unavailable_try_again) return "its server is busy, try again";
    return "try another path";
  }
  if (is<TlsUrl>(url) &&
      (code == std::errc::connection_reset || code == std::errc::connection_aborted)) {
    return "it did not answer as a TLS server does; is it one?";
  }
  if (code == std::errc::timed_out) return "is the host up, and does a firewall let you through?";
  if (code == std::errc::network_unreachable || code == std::errc::host_unreachable) {
    return "this machine has no way to that address; try another one";
  }
  if (code == std::errc::address_not_available) {
    return "it is not an address to connect to, or this machine has no free port left";
  }
  return "try another host or port";
}

std::string_view listen_advice(const Url& url, const std::error_code& code) {
  if (is<UnixUrl>(url)) {
    if (code == std::errc::address_in_use) return "stop what listens there, or take another path";
    if (code == std::errc::permission_denied) return "take a directory of yours";
    if (code == std::errc::no_such_file_or_directory) return "make its directory first";
    return "try another path";
  }
  if (code == std::errc::address_in_use)
    return "stop what listens there, or take a free port with :0";
  if (code == std::errc::permission_denied) return "ports under 1024 are root's; take a higher one";
  if (code == std::errc::address_not_available) {
    return "that address is not this machine's; try 127.0.0.1, [::1] or 0.0.0.0";
  }
  return "try another address or port";
}

/// How to get a client to trust a server that it does not, or whether it should.
std::string_view trust_advice(const std::error_code& code) {
  // OpenSSL's X509_V_ERR_ numbers.
  switch (code.value()) {
    case 9:
    case 10: return "it has to be renewed, or the clock of this machine is wrong";
    case 18:
    case 19: return "if you know it, give it by ?ca=FILE; for tests add ?insecure";
    case 20:
    case 21:
      return "nobody who is trusted here vouches for it; if you know its issuer, give that by "
             "?ca=FILE; for tests add ?insecure";
    case 62:
    case 64: return "connect to the host it is for, or write ?name=HOST if that is meant";
    default: return "the server needs another one; for tests add ?insecure";
  }
}

std::string_view tls_advice(const weir::TlsError& error) {
  if (error.code().category() == weir::certificate_category()) return trust_advice(error.code());
  return "is it a server of TLS 1.2 or 1.3? If it asks for a certificate, add ?cert=FILE";
}

}  // namespace

UsageError needs_real_network(std::string_view command) {
  return UsageError(
      fmt::format("no simulated network for '{}': nothing outside this process can reach it; use "
                  "--backend epoll, or try weir bench or weir demo on it",
                  command));
}

std::exception_ptr cannot_connect(const Url& url, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const weir::TlsError& failure) {
    return std::make_exception_ptr(RunError(fmt::format(
        "cannot connect to {}: {}; {}", to_string(url), failure.what(), tls_advice(failure))));
  } catch (const std::system_error& failure) {
    const std::error_code code = failure.code();
    if (is_resolver_error(code)) return std::make_exception_ptr(cannot_resolve(url, code));
    return std::make_exception_ptr(
        RunError(fmt::format("cannot connect to {}: {}; {}", to_string(url), code.message(),
                             connect_advice(url, code))));
  } catch (...) {
    return error;
  }
}

std::exception_ptr lost_connection(const Url& url, const weir::CloseReason& reason) {
  if (!reason.is_exception()) {
    return std::make_exception_ptr(
        RunError(fmt::format("lost the connection to {}: {}; the peer ended it, ask there",
                             to_string(url), reason.message())));
  }
  try {
    std::rethrow_exception(reason.exception());
  } catch (const weir::TlsError& failure) {
    return std::make_exception_ptr(RunError(fmt::format(
        "lost the connection to {}: {}; {}", to_string(url), failure.what(), tls_advice(failure))));
  } catch (...) {
    return std::current_exception();
  }
}

RunError cannot_listen(const Url& url, const std::system_error& error) {
  if (is_resolver_error(error.code())) return cannot_resolve(url, error.code());
  return RunError(fmt::format("cannot listen on {}: {}; {}", to_string(url), error.code().message(),
                              listen_advice(url, error.code())));
}

}  // namespace weir_tool
