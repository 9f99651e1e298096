// udp_echo_server [PORT]: sends each datagram back to where it came from.
#include <weir/weir.h>

#include <iostream>

struct EchoServer : weir::DatagramProtocol {
  void connection_made(weir::DatagramTransport transport) override { transport_ = transport; }

  void datagram_received(std::span<const std::byte> data, const weir::Address& sender) override {
    transport_.sendto(data, sender);
  }

  // More answers wait than is good: leave the questions to the system, which drops what is too much.
  void pause_writing() override { transport_.pause_reading(); }
  void resume_writing() override { transport_.resume_reading(); }

  weir::DatagramTransport transport_;
};

int main(int argc, char** argv) {
  weir::EventLoop loop;
  weir::DatagramOptions options;
  options.local_addr = {"127.0.0.1",
                        static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 9999)};
  auto [transport, protocol] =
      loop.run_until_complete(weir::create_datagram_endpoint<EchoServer>(loop, options));
  std::cout << "serving on " << transport.get_extra_info<weir::Address>("sockname")->to_string()
            << std::endl;
  loop.run_forever();
}
