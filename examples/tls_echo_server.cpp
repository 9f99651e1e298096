// tls_echo_server CHAIN KEY [PORT]: sends back what it receives, over TLS. CHAIN is a PEM file of the
// server's certificate and of those that lead to its issuer, KEY one of its private key.
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
  if (argc < 3) {
    std::cerr << "usage: tls_echo_server CHAIN KEY [PORT]" << std::endl;
    return 2;
  }
  weir::EventLoop loop;
  const auto port = static_cast<std::uint16_t>(argc > 3 ? std::atoi(argv[3]) : 8889);
  try {
    const auto tls = weir::TlsContext::server(
        {.identity = weir::TlsIdentity{.certificate_chain = weir::Pem::file(argv[1]),
                                       .private_key = weir::Pem::file(argv[2])}});
    auto server = loop.run_until_complete(
        weir::create_server<EchoServer>(loop, "127.0.0.1", port, {.tls = tls}));
    std::cout << "serving on " << server.sockets().front().sockname.to_string() << std::endl;
    loop.run_forever();
  } catch (const std::system_error& error) {
    std::cerr << error.what() << std::endl;  // names the file, and what is wrong with it
    return 1;
  }
}
