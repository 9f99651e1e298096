#include "tls_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"
#include "throw_away_certificate.h"

namespace weir_tool {
namespace {

/// Makes what a person needs to listen; both in one file.
constexpr std::string_view certificate_recipe =
    "one for tests is made by: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
    "-nodes "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout FILE -out FILE";

/// What was written, by the names of the keys.
struct Query {
  std::optional<std::string> ca;
  std::optional<std::string> cert;
  std::optional<std::string> key;
  std::optional<std::string> alpn;
  std::optional<std::string> name;
  bool insecure = false;
};

struct Key {
  std::string_view name;
  std::string_view form;
  std::optional<std::string> Query::*value;  // null: it has none
  bool is_for_servers;
};

constexpr std::array<Key, 6> keys{{{"ca", "ca=FILE", &Query::ca, true},
                                   {"cert", "cert=FILE", &Query::cert, true},
                                   {"key", "key=FILE", &Query::key, true},
                                   {"insecure", "insecure", nullptr, false},
                                   {"alpn", "alpn=NAME,NAME", &Query::alpn, true},
                                   {"name", "name=HOST", &Query::name, false}}};

/// "ca=FILE, cert=FILE, key=FILE and alpn=NAME,NAME": what can be written.
std::string forms(bool is_server) {
  std::vector<std::string_view> known;
  for (const Key& key : keys) {
    if (!is_server || key.is_for_servers) known.push_back(key.form);
  }
  const std::string_view last = known.back();
  known.pop_back();
  return fmt::format("{} and {}", fmt::join(known, ", "), last);
}

class Reader {
 public:
  Reader(std::string_view text, bool is_server) : text_(text), is_server_(is_server) {}

  Query read(std::string_view query) {
    Query found;
    for (std::size_t begin = 0; begin <= query.size();) {
      const std::size_t end = std::min(query.find('&', begin), query.size());
      take(query.substr(begin, end - begin), found);
      begin = end + 1;
    }
    if (found.key && !found.cert) fail("key without cert", "add cert=FILE, its certificate");
    if (found.insecure && found.ca) fail("both ca and insecure", "leave one of them out");
    return found;
  }

 private:
  void take(std::string_view item, Query& found) const {
    const std::size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    const auto* const key = std::find_if(keys.begin(), keys.end(),
                                         [&](const Key& known) { return known.name == name; });
    if (key == keys.end()) fail(fmt::format("unknown key '{}'", name), there_are());
    if (is_server_ && !key->is_for_servers) {
      fail(fmt::format("'{}'", name), fmt::format("it is for clients, {}", there_are()));
    }
    const std::string_view value = equals == std::string_view::npos ? "" : item.substr(equals + 1);
    const bool has_value = key->value != nullptr;
    if (has_value == value.empty()) {
      fail(fmt::format("'{}'", item), fmt::format("write {}", key->form));
    }
    if (has_value ? (found.*key->value).has_value() : found.insecure) {
      fail(fmt::format("'{}' twice", name), "leave one out");
    }
    if (has_value) {
      found.*key->value = value;
    } else {
      found.insecure = true;
    }
  }

  std::string there_are() const { return fmt::format("there are {}", forms(is_server_)); }

  [[noreturn]] void fail(std::string_view what, std::string_view advice) const {
    throw UsageError(fmt::format("{} in '{}'; {}", what, text_, advice));
  }

  std::string_view text_;
  bool is_server_;
};

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// What the query says for either end.
weir::TlsOptions options_of(const Query& query, bool is_server) {
  weir::TlsOptions options;
  if (query.cert) {
    options.identity = weir::TlsIdentity{.certificate_chain = weir::Pem::file(*query.cert)};
    if (query.key) options.identity->private_key = weir::Pem::file(*query.key);
  }
  if (query.ca) options.trusted.push_back(weir::Pem::file(*query.ca));
  if (query.ca && is_server) options.verification = weir::PeerVerification::required;
  if (query.insecure) options.verification = weir::PeerVerification::none;
  if (query.alpn) options.alpn = split_at_commas(*query.alpn);
  return options;
}

/// What the library says of an option, by the name that the option has in a URL.
std::string in_terms_of_url(std::string words) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> names{
      {{"TlsOptions::trusted", "ca"},
       {"TlsIdentity::certificate_chain", "cert"},
       {"TlsIdentity::private_key", "key"},
       {"TlsOptions::alpn", "alpn"}}};
  for (const auto& [option, name] : names) {
    if (words.starts_with(option)) words.replace(0, option.size(), name);
  }
  return words;
}

weir::TlsContext make_context(const weir::TlsOptions& options, bool is_server,
                              std::string_view text) {
  try {
    return is_server ? weir::TlsContext::server(options) : weir::TlsContext::client(options);
  } catch (const std::invalid_argument& error) {
    throw UsageError(fmt::format("{} in '{}'", in_terms_of_url(error.what()), text));
  } catch (const std::system_error& error) {
    throw RunError(fmt::format("cannot use '{}': {}", text, in_terms_of_url(error.what())));
  }
}

std::vector<std::string> hosts_with(const std::string& host) {
  std::vector<std::string> hosts{"localhost", "127.0.0.1", "::1"};
  const std::string name = host.substr(0, host.find('%'));  // without the zone of an address
  if (std::find(hosts.begin(), hosts.end(), name) == hosts.end()) hosts.push_back(name);
  return hosts;
}

}  // namespace

TlsUrl make_tls_url(HostAndPort endpoint, std::string_view query, std::string_view text,
                    UrlRole role) {
  const bool is_server = listens(role);
  const Query found = query.empty() ? Query() : Reader(text, is_server).read(query.substr(1));
  weir::TlsOptions options = options_of(found, is_server);
  std::string fingerprint;
  if (is_server && !options.identity) {
    if (role != UrlRole::echo && role != UrlRole::trace_listen) {
      throw UsageError(
          fmt::format("no cert in '{}'; add ?cert=FILE, {}", text, certificate_recipe));
    }
    const ThrowAwayCertificate made = make_throw_away_certificate(hosts_with(endpoint.host));
    options.identity = made.identity();
    fingerprint = made.fingerprint;
  }
  return {std::move(endpoint), make_context(options, is_server, text), found.name,
          std::move(fingerprint)};
}

TlsPair make_tls_pair(const HostAndPort& endpoint) {
  const ThrowAwayCertificate made = make_throw_away_certificate(hosts_with(endpoint.host));
  return {.server = {endpoint, weir::TlsContext::server({.identity = made.identity()})},
          .client = {endpoint, weir::TlsContext::client({.trusted = {made.trusted()}})}};
}

}  // namespace weir_tool
