// threads_echo_server [PORT [THREADS]]: the echo server on as many threads as there are processors.
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
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8888);
  const auto threads = static_cast<std::size_t>(argc > 2 ? std::atoi(argv[2]) : 0);
  auto server = weir::serve_on<EchoServer>(threads, "127.0.0.1", port);
  std::cout << "serving on " << server.addresses().front().to_string() << std::endl;
  server.wait();
}
