#include "errors.h"

#include <fmt/format.h>

#include <weir/weir.h>

namespace weir_tool {
namespace {

bool is_resolver_error(const std::error_code& code) {
  return code.category() == weir::resolver_category();
}

RunError cannot_resolve(const Url& url, const std::error_code& code) {
  return RunError(fmt::format("cannot find host '{}': {}; check the spelling, or write its address",
                              url.host, code.message()));
}

std::string_view connect_advice(const std::error_code& code) {
  if (code == std::errc::connection_refused) return "start a server there first, e.g. weir echo";
  if (code == std::errc::timed_out) return "is the host up, and does a firewall let you through?";
  if (code == std::errc::network_unreachable || code == std::errc::host_unreachable) {
    return "this machine has no way to that address; try another one";
  }
  if (code == std::errc::too_many_files_open) return "raise the limit (ulimit -n)";
  if (code == std::errc::address_not_available) {
    return "it is not an address to connect to, or this machine has no free port left";
  }
  return "try another host or port";
}

std::string_view listen_advice(const std::error_code& code) {
  if (code == std::errc::address_in_use)
    return "stop what listens there, or take a free port with :0";
  if (code == std::errc::permission_denied) return "ports under 1024 are root's; take a higher one";
  if (code == std::errc::address_not_available) {
    return "that address is not this machine's; try 127.0.0.1, [::1] or 0.0.0.0";
  }
  return "try another address or port";
}

}  // namespace

UsageError needs_real_network(std::string_view command) {
  return UsageError(
      fmt::format("no simulated network for '{}': nothing outside this process can reach it; use "
                  "--backend epoll, or try weir bench or weir demo on it",
                  command));
}

RunError cannot_connect(const Url& url, const std::system_error& error) {
  if (is_resolver_error(error.code())) return cannot_resolve(url, error.code());
  return RunError(fmt::format("cannot connect to {}: {}; {}", url.to_string(),
                              error.code().message(), connect_advice(error.code())));
}

RunError cannot_listen(const Url& url, const std::system_error& error) {
  if (is_resolver_error(error.code())) return cannot_resolve(url, error.code());
  return RunError(fmt::format("cannot listen on {}: {}; {}", url.to_string(),
                              error.code().message(), listen_advice(error.code())));
}

}  // namespace weir_tool
