// A loop whose transports are watched: one that broke a rule of the contract would end the program.

#include <weir/weir.h>

#include <iostream>
#include <memory>

namespace {

struct Greeter : weir::Protocol {
  void connection_made(weir::Transport transport) override {
    transport.write("hello");
    transport.close();
  }
};

struct Reader : weir::Protocol {
  explicit Reader(weir::Future<> its_end) : end(std::move(its_end)) {}
  void data_received(std::span<const std::byte> data) override { text += weir::as_text(data); }
  void connection_lost(const weir::CloseReason&) override { end.set_result(); }
  std::string text;
  weir::Future<> end;
};

}  // namespace

int main() {
  weir::EventLoop loop({.observers = {std::make_shared<weir::ContractChecker>()}});
  const auto server = loop.run_until_complete(weir::create_server<Greeter>(loop, "127.0.0.1", 0));
  auto reader = std::make_shared<Reader>(loop.create_future());
  loop.run_until_complete(weir::create_connection(
      loop, [&] { return reader; }, "127.0.0.1", server.sockets().front().sockname.port()));
  loop.run_until_complete(reader->end);
  std::cout << reader->text << ", by the rules" << std::endl;
}
