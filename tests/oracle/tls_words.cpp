#include "tls_words.h"

#include <algorithm>

namespace weir::oracle {
namespace {

/// The value of the option `key=VALUE`.
std::optional<std::string> option(const Words& words, const std::string& key) {
  for (const std::string& word : words) {
    if (word.starts_with(key + '=')) return word.substr(key.size() + 1);
  }
  return std::nullopt;
}

bool has(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

std::optional<std::chrono::nanoseconds> milliseconds(const Words& words, const std::string& key) {
  const auto value = option(words, key);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(std::stoi(*value));
}

TlsWords timeouts_of(const Words& words) {
  TlsWords tls;
  tls.handshake_timeout = milliseconds(words, "handshake_timeout");
  tls.shutdown_timeout = milliseconds(words, "shutdown_timeout");
  return tls;
}

TlsIdentity identity(const std::string& path) {
  return {.certificate_chain = Pem::file(path + ".pem"), .private_key = Pem::file(path + ".key")};
}

}  // namespace

TlsWords server_tls(const Words& words, const std::string& certificates) {
  TlsWords tls = timeouts_of(words);
  if (!has(words, "tls")) return tls;
  TlsOptions options{.identity =
                         identity(certificates + '/' + option(words, "cert").value_or("server"))};
  if (has(words, "ask")) {
    options.verification = PeerVerification::required;
    options.trusted = {Pem::file(certificates + "/ca.pem")};
  }
  tls.context = TlsContext::server(options);
  return tls;
}

TlsWords client_tls(const Words& words, const std::string& certificates,
                    const std::optional<std::string>& name) {
  TlsWords tls = timeouts_of(words);
  tls.server_hostname = option(words, "name");
  if (!has(words, "tls")) return tls;
  if (!tls.server_hostname) tls.server_hostname = name;
  if (tls.server_hostname == "none") tls.server_hostname.reset();
  const std::string trust = option(words, "trust").value_or("ca");
  TlsOptions options;
  if (const auto cert = option(words, "cert"))
    options.identity = identity(certificates + '/' + *cert);
  if (trust != "system") options.trusted = {Pem::file(certificates + '/' + trust + ".pem")};
  tls.context = TlsContext::client(options);
  return tls;
}

}  // namespace weir::oracle
