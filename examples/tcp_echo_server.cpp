// tcp_echo_server [PORT]: sends back what it receives, no faster than the peer reads it.
#include <weir/weir.h>

#include <iostream>

struct EchoServer : weir::Protocol {
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }
  void pause_writing() override { transport_.pause_reading(); }
  void resume_writing() override { transport_.resume_reading(); }
  weir::Transport transport_;
};

int main(int argc, char** argv) {
  weir::EventLoop loop;
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8888);
  auto server = loop.run_until_complete(weir::create_server<EchoServer>(loop, "127.0.0.1", port));
  std::cout << "serving on " << server.sockets().front().sockname.to_string() << std::endl;
  loop.run_forever();
}
