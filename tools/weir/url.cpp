#include "url.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>
#include <utility>

#include "errors.h"
#include "tls_url.h"

namespace weir_tool {
namespace {

enum class Scheme { tcp, tls, udp, unix_path, unix_abstract, exec, stdio };

struct SchemeEntry {
  Scheme scheme;
  std::string_view name;
  std::string_view form;
};

constexpr std::array<SchemeEntry, 7> schemes{
    {{Scheme::tcp, "tcp", "tcp://HOST:PORT"},
     {Scheme::tls, "tls", "tls://HOST:PORT"},
     {Scheme::udp, "udp", "udp://HOST:PORT"},
     {Scheme::unix_path, "unix", "unix:/PATH"},
     {Scheme::unix_abstract, "unix-abstract", "unix-abstract:NAME"},
     {Scheme::exec, "exec", "exec:COMMAND"},
     {Scheme::stdio, "stdio", "stdio:"}}};

/// The longest path and name that fit into the address of a Unix socket.
constexpr std::size_t longest_unix_path = 107;

/// Why a scheme makes no sense in a role; empty if it does.
std::string_view objection(Scheme scheme, UrlRole role) {
  const bool speaks_datagrams = role == UrlRole::echo || role == UrlRole::bench;
  if (scheme == Scheme::udp && !speaks_datagrams) {
    return "datagrams are no stream, only echo and bench speak udp";
  }
  if (scheme == Scheme::exec && listens(role)) return "a command cannot be listened on";
  if (role == UrlRole::chaos_listen || role == UrlRole::chaos_target) {
    if (scheme == Scheme::tls) return "faults are of what is under TLS, which passes through tcp";
    if (scheme == Scheme::exec || scheme == Scheme::stdio) {
      return "there is no network to have faults, put weir relay there";
    }
  }
  if (scheme == Scheme::stdio && role == UrlRole::connect) {
    return "standard input and output are the other end already";
  }
  if (scheme == Scheme::stdio && role == UrlRole::bench) return "the report goes there";
  if (scheme == Scheme::stdio && role == UrlRole::trace_listen) return "the picture goes there";
  return "";
}

/// "tcp://HOST:PORT, unix:/PATH or stdio:": what can be written in a role.
std::string forms(UrlRole role) {
  std::string text;
  std::string_view last;
  for (const SchemeEntry& entry : schemes) {
    if (!objection(entry.scheme, role).empty()) continue;
    if (!last.empty()) text += text.empty() ? last : fmt::format(", {}", last);
    last = entry.form;
  }
  return fmt::format("{} or {}", text, last);
}

[[noreturn]] void fail(std::string_view what, std::string_view url, std::string_view advice) {
  throw UsageError(fmt::format("{} in '{}'; {}", what, url, advice));
}

/// A URL taken apart as far as its scheme goes.
struct Parts {
  const SchemeEntry* entry;
  std::string_view whole;
  std::string_view rest;  // after the ':'
};

Parts take_scheme(std::string_view url, UrlRole role) {
  const std::size_t colon = url.find(':');
  const std::string advice = fmt::format("write {}", forms(role));
  if (colon == std::string_view::npos) fail("no scheme", url, advice);
  const std::string_view name = url.substr(0, colon);
  const auto* entry = std::find_if(schemes.begin(), schemes.end(),
                                   [&](const SchemeEntry& known) { return known.name == name; });
  if (entry == schemes.end()) fail(fmt::format("unknown scheme '{}'", name), url, advice);
  if (const std::string_view reason = objection(entry->scheme, role); !reason.empty()) {
    fail(fmt::format("scheme '{}'", name), url, fmt::format("{}: {}", reason, advice));
  }
  return {entry, url, url.substr(colon + 1)};
}

// --- tcp, tls and udp ----------------------------------------------------------------------------

struct Authority {
  std::string_view host;
  std::string_view port;
  bool bracketed = false;
};

/// Splits "host:port" or "[v6]:port".
Authority split(std::string_view authority, const Parts& url) {
  const std::string bracket_advice = fmt::format("write {}://[::1]:PORT", url.entry->name);
  const bool bracketed = authority.starts_with('[');
  std::size_t colon = authority.rfind(':');
  if (bracketed) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) fail("no closing ]", url.whole, bracket_advice);
    colon = end + 1;
    if (colon < authority.size() && authority[colon] != ':') {
      fail("no ':' after ]", url.whole, bracket_advice);
    }
  } else if (authority.find(':') != colon) {
    fail("IPv6 address without brackets", url.whole, bracket_advice);
  }
  if (colon >= authority.size()) {
    fail("no port", url.whole, fmt::format("add one: {}://{}:8888", url.entry->name, authority));
  }
  const std::string_view host = authority.substr(0, colon);
  return {bracketed ? host.substr(1, host.size() - 2) : host, authority.substr(colon + 1),
          bracketed};
}

std::uint16_t parse_port(std::string_view text, std::string_view url, bool may_be_zero) {
  if (text.empty()) fail("no port", url, "add one after the ':', such as 8888");
  unsigned port = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || parsed != end || port > 65535) {
    fail(fmt::format("bad port '{}'", text), url,
         may_be_zero ? "a port is a number from 1 to 65535, or 0 for a free one"
                     : "a port is a number from 1 to 65535");
  }
  if (port == 0 && !may_be_zero) {
    fail("port 0", url, "only a server can take a free port; name the one to connect to");
  }
  return static_cast<std::uint16_t>(port);
}

bool in_host_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_ipv6(std::string_view host) {
  const std::string_view address = host.substr(0, host.find('%'));  // without its zone
  const auto parsed = weir::Address::parse(address, 0);
  return parsed && parsed->family() == weir::AddressFamily::ipv6;
}

void check_host(const Authority& parts, const Parts& url) {
  const std::string_view scheme = url.entry->name;
  if (parts.host.empty()) {
    fail("no host", url.whole,
         fmt::format("write {0}://127.0.0.1:PORT or {0}://[::1]:PORT", scheme));
  }
  if (parts.bracketed && !is_ipv6(parts.host)) {
    fail(fmt::format("bad IPv6 address '{}'", parts.host), url.whole,
         fmt::format("write {}://[::1]:PORT", scheme));
  }
  if (!parts.bracketed && !std::all_of(parts.host.begin(), parts.host.end(), in_host_name)) {
    fail(fmt::format("bad host '{}'", parts.host), url.whole, "write a name or an address");
  }
}

HostAndPort parse_host_and_port(const Parts& url, std::string_view rest, UrlRole role) {
  if (!rest.starts_with("//")) {
    fail(fmt::format("no '//' after {}:", url.entry->name), url.whole,
         fmt::format("write {}", url.entry->form));
  }
  const std::string_view authority = rest.substr(2);
  if (const std::size_t end = authority.find_first_of("/?"); end != std::string_view::npos) {
    fail(fmt::format("'{}' after the port", authority.substr(end)), url.whole, "leave it out");
  }
  const Authority parts = split(authority, url);
  check_host(parts, url);
  return {std::string(parts.host), parse_port(parts.port, url.whole, listens(role))};
}

TlsUrl parse_tls(const Parts& url, UrlRole role) {
  const std::size_t end = std::min(url.rest.find('?'), url.rest.size());
  return make_tls_url(parse_host_and_port(url, url.rest.substr(0, end), role), url.rest.substr(end),
                      url.whole, role);
}

std::string to_string(std::string_view scheme, const HostAndPort& endpoint) {
  const bool brackets = endpoint.host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(brackets ? "{}://[{}]:{}" : "{}://{}:{}"), scheme, endpoint.host,
                     endpoint.port);
}

// --- The others ----------------------------------------------------------------------------------

UnixUrl parse_unix_path(const Parts& url) {
  if (url.rest.empty()) fail("no path", url.whole, "add one: unix:/run/user/weir.sock");
  if (url.rest.size() > longest_unix_path) {
    fail(fmt::format("a path of {} bytes", url.rest.size()), url.whole,
         fmt::format("that of a socket has {} at most, take a shorter one", longest_unix_path));
  }
  return {std::string(url.rest)};
}

UnixUrl parse_abstract_name(const Parts& url) {
  if (url.rest.empty()) fail("no name", url.whole, "add one: unix-abstract:weir");
  if (url.rest.size() > longest_unix_path) {
    fail(fmt::format("a name of {} bytes", url.rest.size()), url.whole,
         fmt::format("that of a socket has {} at most, take a shorter one", longest_unix_path));
  }
  return {std::string(1, '\0').append(url.rest)};
}

ExecUrl parse_exec(const Parts& url) {
  if (url.rest.find_first_not_of(" \t\n") == std::string_view::npos) {
    fail("no command", url.whole, "add one: exec:sort, or 'exec:sort -u'");
  }
  return {std::string(url.rest)};
}

StdioUrl parse_stdio(const Parts& url) {
  if (!url.rest.empty()) {
    fail(fmt::format("'{}' after stdio:", url.rest), url.whole, "leave it out");
  }
  return {};
}

}  // namespace

std::string to_string(const Url& url) {
  return visit_url(
      url, [](const TcpUrl& tcp) { return to_string("tcp", tcp); },
      [](const TlsUrl& tls) { return to_string("tls", tls); },
      [](const UdpUrl& udp) { return to_string("udp", udp); },
      [](const UnixUrl& local) {
        return local.is_abstract() ? fmt::format("unix-abstract:{}", local.path.substr(1))
                                   : fmt::format("unix:{}", local.path);
      },
      [](const ExecUrl& exec) { return fmt::format("exec:{}", exec.command); },
      [](const StdioUrl&) { return std::string("stdio:"); });
}

Url parse_url(std::string_view text, UrlRole role) {
  const Parts url = take_scheme(text, role);
  switch (url.entry->scheme) {
    case Scheme::tcp: return TcpUrl{parse_host_and_port(url, url.rest, role)};
    case Scheme::tls: return parse_tls(url, role);
    case Scheme::udp: return UdpUrl{parse_host_and_port(url, url.rest, role)};
    case Scheme::unix_path: return parse_unix_path(url);
    case Scheme::unix_abstract: return parse_abstract_name(url);
    case Scheme::exec: return parse_exec(url);
    case Scheme::stdio: return parse_stdio(url);
  }
  return {};
}

Url url_at(Url asked, const weir::Address& address) {
  const auto move_there = [&](auto& url) {
    if constexpr (std::is_base_of_v<HostAndPort, std::decay_t<decltype(url)>>) {
      static_cast<HostAndPort&>(url) = {address.host(), address.port()};
    }
  };
  std::visit(move_there, asked);
  return asked;
}

}  // namespace weir_tool
