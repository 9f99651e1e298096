// Weir's TLS echo server: that of echo_weir.cpp, and one option.

#include <weir/weir.h>

#include <cstddef>
#include <span>

#include "certificate.h"
#include "server_options.h"
#include "weir_loop.h"

namespace {

struct Echo : weir::Protocol {
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }

  weir::Transport transport_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  const auto tls = weir::TlsContext::server(
      {.identity =
           weir::TlsIdentity{.certificate_chain = weir::Pem::text(bench::self_signed_pem())}});
  weir::EventLoop loop(bench::loop_options(options));
  const auto server = loop.run_until_complete(
      weir::create_server<Echo>(loop, "127.0.0.1", options.port, {.tls = tls}));
  bench::announce(server.sockets().front().sockname.port());
  loop.run_forever();
}
