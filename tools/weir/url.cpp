#include "url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "errors.h"

namespace weir_tool {
namespace {

[[noreturn]] void fail(std::string_view what, std::string_view url, std::string_view advice) {
  throw UsageError(fmt::format("{} in '{}'; {}", what, url, advice));
}

std::string_view after_scheme(std::string_view url) {
  const std::size_t end = url.find("://");
  if (end == std::string_view::npos) fail("no scheme", url, "write tcp://HOST:PORT");
  const std::string_view scheme = url.substr(0, end);
  if (scheme != "tcp") {
    fail(fmt::format("unknown scheme '{}'", scheme), url, "write tcp://HOST:PORT");
  }
  return url.substr(end + 3);
}

struct HostAndPort {
  std::string_view host;
  std::string_view port;
  bool bracketed = false;
};

/// Splits "host:port" or "[v6]:port".
HostAndPort split(std::string_view authority, std::string_view url) {
  const bool bracketed = authority.starts_with('[');
  std::size_t colon = authority.rfind(':');
  if (bracketed) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) fail("no closing ]", url, "write tcp://[::1]:PORT");
    colon = end + 1;
    if (colon < authority.size() && authority[colon] != ':') {
      fail("no ':' after ]", url, "write tcp://[::1]:PORT");
    }
  } else if (authority.find(':') != colon) {
    fail("IPv6 address without brackets", url, "write tcp://[::1]:PORT");
  }
  if (colon >= authority.size()) {
    fail("no port", url, fmt::format("add one: tcp://{}:8888", authority));
  }
  const std::string_view host = authority.substr(0, colon);
  return {bracketed ? host.substr(1, host.size() - 2) : host, authority.substr(colon + 1),
          bracketed};
}

std::uint16_t parse_port(std::string_view text, std::string_view url, PortRule rule) {
  const bool may_be_zero = rule == PortRule::zero_takes_a_free_one;
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

void check_host(const HostAndPort& parts, std::string_view url) {
  if (parts.host.empty()) fail("no host", url, "write tcp://127.0.0.1:PORT or tcp://[::1]:PORT");
  if (parts.bracketed && !is_ipv6(parts.host)) {
    fail(fmt::format("bad IPv6 address '{}'", parts.host), url, "write tcp://[::1]:PORT");
  }
  if (!parts.bracketed && !std::all_of(parts.host.begin(), parts.host.end(), in_host_name)) {
    fail(fmt::format("bad host '{}'", parts.host), url, "write a name or an address");
  }
}

}  // namespace

std::string Url::to_string() const {
  const bool brackets = host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(brackets ? "tcp://[{}]:{}" : "tcp://{}:{}"), host, port);
}

Url parse_url(std::string_view text, PortRule rule) {
  const std::string_view authority = after_scheme(text);
  if (const std::size_t end = authority.find('/'); end != std::string_view::npos) {
    fail(fmt::format("'{}' after the port", authority.substr(end)), text, "leave it out");
  }
  const HostAndPort parts = split(authority, text);
  check_host(parts, text);
  return {std::string(parts.host), parse_port(parts.port, text, rule)};
}

Url url_of(const weir::Address& address) { return {address.host(), address.port()}; }

}  // namespace weir_tool
