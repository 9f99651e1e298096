// tcp_echo_client [PORT [MESSAGE]]: sends a message to an echo server and prints what comes back.
#include <weir/weir.h>

#include <iostream>
#include <string>

class EchoClient : public weir::Protocol {
 public:
  EchoClient(std::string message, weir::Future<> lost)
      : message_(std::move(message)), lost_(std::move(lost)) {}

  void connection_made(weir::Transport transport) override {
    transport.write(message_);
    transport.write_eof();  // the server sends the rest back, then closes
    std::cout << "sent: " << message_ << std::endl;
  }

  void data_received(std::span<const std::byte> data) override {
    std::cout << "received: " << weir::as_text(data) << std::endl;
  }

  void connection_lost(const weir::CloseReason& reason) override {
    std::cout << "the server closed the connection" << std::endl;
    if (reason) {
      lost_.set_exception(reason.exception());
    } else {
      lost_.set_result();
    }
  }

 private:
  std::string message_;
  weir::Future<> lost_;
};

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8888);
  const std::string message = argc > 2 ? argv[2] : "Hello, world!";

  weir::EventLoop loop;
  auto lost = loop.create_future();
  loop.run_until_complete(weir::create_connection(
      loop, [&] { return std::make_unique<EchoClient>(message, lost); }, "127.0.0.1", port));
  loop.run_until_complete(lost);
}
