// Endpoints as they are written on the command line: tcp://HOST:PORT, unix:/PATH and so on.
#pragma once

#include <weir/weir.h>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace weir_tool {

struct HostAndPort {
  std::string host;  // without brackets
  std::uint16_t port = 0;
};

struct TcpUrl : HostAndPort {};
struct UdpUrl : HostAndPort {};

/// TLS over TCP, with all that its query says.
struct TlsUrl : HostAndPort {
  /// Of the role that the endpoint has.
  weir::TlsContext context;
  /// Whom the certificate must be of; unset: the host.
  std::optional<std::string> server_hostname{};
  /// Of the certificate that was made for want of another, SHA-256; empty if one was given.
  std::string throw_away_fingerprint{};
};

/// A path, or, with a leading NUL, an abstract name: what the library takes.
struct UnixUrl {
  std::string path;

  bool is_abstract() const { return path.starts_with('\0'); }
};

/// The standard input and output of a command that a shell runs.
struct ExecUrl {
  std::string command;
};

/// The standard input and output of this program.
struct StdioUrl {};

using Url = std::variant<TcpUrl, TlsUrl, UdpUrl, UnixUrl, ExecUrl, StdioUrl>;

template <class Kind>
bool is(const Url& url) {
  return std::holds_alternative<Kind>(url);
}

/// As a person writes it: "tcp://[::1]:80", "unix:/run/x", "unix-abstract:x", "exec:sort", "stdio:". Of TLS,
/// without the query.
std::string to_string(const Url& url);

/// What an endpoint is for, which decides the schemes that make sense there. To listen is to be reached
/// by others, and may leave the choice of a port to the kernel, by port 0.
enum class UrlRole {
  echo,
  connect,
  bench,
  relay_listen,
  relay_target,
  chaos_listen,
  chaos_target,
  trace_listen
};

inline bool listens(UrlRole role) {
  return role == UrlRole::echo || role == UrlRole::relay_listen || role == UrlRole::chaos_listen ||
         role == UrlRole::trace_listen;
}

/// Reads `text`; throws UsageError with what is wrong in it and how to write it right, and RunError if a
/// file that it names is no good.
Url parse_url(std::string_view text, UrlRole role);

/// `asked`, where it is really listened: at the address of a socket.
Url url_at(Url asked, const weir::Address& address);

/// Calls the one of `functions` that takes the kind of endpoint that `url` is.
template <class... Functions>
auto visit_url(const Url& url, Functions&&... functions) {
  struct Overloaded : std::decay_t<Functions>... {
    using std::decay_t<Functions>::operator()...;
  };
  return std::visit(Overloaded{std::forward<Functions>(functions)...}, url);
}

}  // namespace weir_tool
