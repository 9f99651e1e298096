// tls_echo_client CA [PORT [MESSAGE]]: sends a message to an echo server over TLS, and prints what comes
// back. CA is a PEM file of the certificates that are trusted.
#include <weir/weir.h>

#include <iostream>
#include <string>

class EchoClient : public weir::Protocol {
 public:
  EchoClient(std::string message, weir::Future<> lost)
      : message_(std::move(message)), lost_(std::move(lost)) {}

  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    std::cout << "connected: " << *transport.get_extra_info<std::string>("tls_version") << ", "
              << transport.get_extra_info<weir::PeerCertificate>("peercert")->subject << std::endl;
    transport.write(message_);
  }

  // TLS has no write_eof(): who knows that it is over closes.
  void data_received(std::span<const std::byte> data) override {
    received_ += weir::as_text(data);
    if (received_.size() < message_.size()) return;
    std::cout << "received: " << received_ << std::endl;
    transport_.close();
  }

  bool eof_received() override {
    // Anybody on the way can end a TCP connection; only the peer can say goodbye in TLS.
    if (transport_.get_extra_info<bool>("tls_clean_shutdown") == false) {
      std::cout << "cut off: this may not be all" << std::endl;
    }
    return false;
  }

  void connection_lost(const weir::CloseReason& reason) override {
    if (reason) {
      lost_.set_exception(reason.exception());
    } else {
      lost_.set_result();
    }
  }

 private:
  weir::Transport transport_;
  std::string message_, received_;
  weir::Future<> lost_;
};

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: tls_echo_client CA [PORT [MESSAGE]]" << std::endl;
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 8889);
  const std::string message = argc > 3 ? argv[3] : "Hello, world!";

  weir::EventLoop loop;
  auto lost = loop.create_future();
  try {
    const auto tls = weir::TlsContext::client({.trusted = {weir::Pem::file(argv[1])}});
    loop.run_until_complete(
        weir::create_connection(loop, [&] { return std::make_unique<EchoClient>(message, lost); },
                                "localhost", port, {.tls = tls}));
    loop.run_until_complete(lost);
  } catch (const weir::CertificateError& error) {
    std::cerr << "not trusted: " << error.what() << std::endl;
    return 1;
  } catch (const std::system_error& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
