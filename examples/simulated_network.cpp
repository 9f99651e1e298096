// An echo server and its client on hosts of a simulated network that loses packets, parts them for a while and
// crashes the server. The protocols are those of real sockets; only the loops are made differently.
//
//     simulated_network [seed]

#include <weir/weir.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>

using namespace std::chrono_literals;

namespace {

struct Echo : weir::Protocol {
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }
  weir::Transport transport_;
};

/// Says "tick" every second, and connects again when the connection is lost.
class Client : public weir::Protocol, public std::enable_shared_from_this<Client> {
 public:
  explicit Client(weir::EventLoop& loop) : loop_(loop) {}

  void connect() {
    auto opening = weir::create_connection(
        loop_, [self = shared_from_this()] { return self; }, "server", 80);
    opening.add_done_callback([this, opening](const auto&) {
      if (opening.exception() != nullptr) retry();
    });
  }
  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    ++connections;
    tick();
  }
  void data_received(std::span<const std::byte> data) override { echoed += data.size(); }
  void connection_lost(const weir::CloseReason&) override { retry(); }

  int connections = 0;
  std::size_t echoed = 0;

 private:
  void tick() {
    if (transport_.is_closing()) return;
    transport_.write("tick");
    loop_.call_later(1s, [this, named = transport_] {
      if (!named.is_closing()) tick();
    });
  }
  void retry() {
    loop_.call_later(2s, [this] { connect(); });
  }

  weir::EventLoop& loop_;
  weir::Transport transport_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  weir::SimulatedNetwork network({.seed = seed, .link = {.loss = 0.02}});

  const auto server = network.add_host(
      "server", [](weir::EventLoop& loop) { weir::create_server<Echo>(loop, "0.0.0.0", 80); });
  weir::EventLoop loop({.host = network.add_host("client")});

  network.at(20s, [&] { network.isolate(server); });
  network.at(40s, [&] { network.heal(); });
  network.at(60s, [&] { network.crash(server); });
  network.at(70s, [&] { network.restart(server); });

  const auto client = std::make_shared<Client>(loop);
  client->connect();
  network.run_for(10min);

  std::cout << "seed " << seed << ": " << client->connections << " connections, " << client->echoed
            << " bytes echoed, trace " << std::hex << network.trace_hash() << std::endl;
  return client->connections == 2 && client->echoed > 1000 ? 0 : 1;
}
