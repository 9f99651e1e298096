// udp_echo_client [PORT [MESSAGE]]: sends a datagram to an echo server and prints what comes back.
#include <weir/weir.h>

#include <iostream>
#include <string>

class EchoClient : public weir::DatagramProtocol {
 public:
  EchoClient(std::string message, weir::Future<> lost)
      : message_(std::move(message)), lost_(std::move(lost)) {}

  void connection_made(weir::DatagramTransport transport) override {
    transport_ = transport;
    transport_.sendto(message_);
    std::cout << "sent: " << message_ << std::endl;
  }

  void datagram_received(std::span<const std::byte> data, const weir::Address&) override {
    std::cout << "received: " << weir::as_text(data) << std::endl;
    transport_.close();
  }

  void error_received(std::error_code error) override {
    std::cout << "error: " << error.message() << std::endl;  // such as: nobody is at that port
    transport_.close();
  }

  void connection_lost(const weir::CloseReason&) override {
    std::cout << "closed" << std::endl;
    lost_.set_result();
  }

 private:
  std::string message_;
  weir::Future<> lost_;
  weir::DatagramTransport transport_;
};

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 9999);
  const std::string message = argc > 2 ? argv[2] : "Hello, world!";

  weir::EventLoop loop;
  auto lost = loop.create_future();
  weir::DatagramOptions options;
  options.remote_addr = {"127.0.0.1", port};
  loop.run_until_complete(weir::create_datagram_endpoint(
      loop, [&] { return std::make_unique<EchoClient>(message, lost); }, options));
  loop.run_until_complete(lost);
}
