#include "echo.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "echo_protocol.h"
#include "errors.h"
#include "service.h"
#include "url.h"

namespace weir_tool {

int run_echo(const EchoCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("echo");
  std::vector<Url> urls;
  urls.reserve(command.urls.size());
  for (const std::string& text : command.urls) urls.push_back(parse_url(text, UrlRole::echo));

  weir::EventLoop loop({.backend = command.backend});
  Service service(loop, command.grace_seconds);
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
