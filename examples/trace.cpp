// A conversation of two simulated hosts, parted for a while, as a picture: text, mermaid, svg or perfetto.
//
//     example_trace [format]

#include <weir/weir.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>

using namespace std::chrono_literals;

namespace {

struct Echo : weir::Protocol {
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }
  weir::Transport transport_;
};

struct Client : weir::Protocol {
  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    transport_.write("ping");
  }
  void data_received(std::span<const std::byte>) override {
    if (++heard_ == 3) return transport_.write_eof();
    transport_.write("ping");
  }
  weir::Transport transport_;
  int heard_ = 0;
};

std::string picture(const weir::Trace& trace, const std::string& format) {
  if (format == "mermaid") return weir::to_mermaid(trace);
  if (format == "svg") return weir::to_svg(trace);
  if (format == "perfetto") return weir::to_perfetto(trace);
  return weir::to_sequence_diagram(trace, {.width = 90});
}

}  // namespace

int main(int argc, char** argv) {
  const auto trace = std::make_shared<weir::Trace>();
  weir::SimulatedNetwork network({.link = {.min_delay = 20ms, .max_delay = 20ms}}, {trace});

  const auto server = network.add_host(
      "server", [](weir::EventLoop& loop) { weir::create_server<Echo>(loop, "0.0.0.0", 80); });
  const auto client = network.add_host("client", [](weir::EventLoop& loop) {
    loop.call_later(1ms, [&loop] { weir::create_connection<Client>(loop, "server", 80); });
  });
  network.at(70ms, [&] { network.partition(client, server); });
  network.at(300ms, [&] { network.heal(); });
  network.run_for(1min);

  std::cout << picture(*trace, argc > 1 ? argv[1] : "text");
  return 0;
}
