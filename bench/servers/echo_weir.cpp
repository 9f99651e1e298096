// Weir's echo server, as its README shows it. With --discard it does not answer.

#include <weir/weir.h>

#include <cstddef>
#include <span>

#include "server_options.h"
#include "weir_loop.h"

namespace {

struct Echo : weir::Protocol {
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }

  weir::Transport transport_;
};

struct Discard : weir::Protocol {};

template <class Protocol>
void serve(weir::EventLoop& loop, const bench::ServerOptions& options) {
  if (options.unix_path.empty()) {
    const auto server =
        loop.run_until_complete(weir::create_server<Protocol>(loop, "127.0.0.1", options.port));
    bench::announce(server.sockets().front().sockname.port());
  } else {
    loop.run_until_complete(weir::create_unix_server<Protocol>(loop, options.unix_path));
    bench::announce(options.unix_path);
  }
  loop.run_forever();
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  weir::EventLoop loop(bench::loop_options(options));
  if (options.discard) {
    serve<Discard>(loop, options);
  } else {
    serve<Echo>(loop, options);
  }
}
