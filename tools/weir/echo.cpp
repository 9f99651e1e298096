#include "echo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "echo_protocol.h"
#include "errors.h"
#include "notices.h"
#include "service.h"
#include "url.h"

namespace weir_tool {
namespace {

void warn_of_throw_away_certificates(const std::vector<Url>& urls, Notices& notices) {
  for (const Url& url : urls) {
    const auto* const tls = std::get_if<TlsUrl>(&url);
    if (tls == nullptr || tls->throw_away_fingerprint.empty()) continue;
    notices.line(fmt::format(
        "weir: {} has no ?cert=FILE, so it shows a certificate made for this run, which nobody "
        "should trust but in tests; its SHA-256 is {}",
        to_string(url), tls->throw_away_fingerprint));
  }
}

}  // namespace

int run_echo(const EchoCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("echo");
  std::vector<Url> urls;
  urls.reserve(command.urls.size());
  for (const std::string& text : command.urls) urls.push_back(parse_url(text, UrlRole::echo));

  weir::EventLoop loop({.backend = command.backend});
  Service service(loop, command.grace_seconds);
  warn_of_throw_away_certificates(urls, service.notices());
  for (const Url& url : urls) {
    if (const auto* udp = std::get_if<UdpUrl>(&url)) {
      service.serve(echo_datagrams(loop, *udp));
    } else {
      service.serve(url, [&] { return std::make_shared<EchoProtocol>(service.conversations()); });
    }
  }
  const bool uses_stdio = std::any_of(urls.begin(), urls.end(), is<StdioUrl>);
  service.announce(uses_stdio ? stderr : stdout);
  service.run();
  return exit_ok;
}

}  // namespace weir_tool
