// Weir's UDP echo server, as anyone would write it.

#include <weir/weir.h>

#include <cstddef>
#include <span>

#include "server_options.h"
#include "weir_loop.h"

namespace {

struct Echo : weir::DatagramProtocol {
  void connection_made(weir::DatagramTransport transport) override { transport_ = transport; }
  void datagram_received(std::span<const std::byte> data, const weir::Address& sender) override {
    transport_.sendto(data, sender);
  }

  weir::DatagramTransport transport_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  weir::EventLoop loop(bench::loop_options(options));
  const auto [transport, echo] = loop.run_until_complete(weir::create_datagram_endpoint<Echo>(
      loop, {.local_addr = weir::LocalAddress{"127.0.0.1", options.port}}));
  bench::announce(transport.get_extra_info<weir::Address>("sockname")->port());
  loop.run_forever();
}
