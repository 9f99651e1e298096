#include "echo_protocol.h"

#include <system_error>

#include "errors.h"

namespace weir_tool {

weir::Server serve_echo(weir::EventLoop& loop, const Url& url, Conversations& conversations) {
  return listen(loop, url,
                [&conversations] { return std::make_shared<EchoProtocol>(conversations); });
}

weir::DatagramTransport echo_datagrams(weir::EventLoop& loop, const UdpUrl& url) {
  try {
    return loop
        .run_until_complete(weir::create_datagram_endpoint<DatagramEchoProtocol>(
            loop, {.local_addr = weir::LocalAddress{url.host, url.port}}))
        .transport;
  } catch (const std::system_error& error) {
    throw cannot_listen(url, error);
  }
}

}  // namespace weir_tool
