// Asio's TLS echo server as its own examples write it (asio/examples/cpp11/ssl/server.cpp: a session
// kept alive by its handlers, handshake, read, write), with the tuning of echo_asio.cpp. Its read
// buffer holds a record: ssl::stream never brings more at a time.

#include <asio.hpp>
#include <asio/ssl.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "certificate.h"
#include "server_options.h"

namespace {

using Executor = asio::io_context::executor_type;
using Tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}

  void handshake() {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [self = shared_from_this()](auto error) {
                              if (!error) self->read();
                            });
  }

 private:
  void read() {
    stream_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](auto error, std::size_t size) {
                              if (!error) self->write(size);
                            });
  }

  void write(std::size_t size) {
    asio::async_write(stream_, asio::buffer(buffer_.data(), size),
                      [self = shared_from_this()](auto error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  asio::ssl::stream<Socket> stream_;
  std::array<std::byte, 16 * 1024> buffer_;
};

void accept(Acceptor& acceptor, asio::ssl::context& context) {
  acceptor.async_accept([&](auto error, Socket socket) {
    if (!error) {
      socket.set_option(Tcp::no_delay(true));
      std::make_shared<Session>(std::move(socket), context)->handshake();
    }
    accept(acceptor, context);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  const std::string pem = bench::self_signed_pem();
  asio::ssl::context tls(asio::ssl::context::tlsv13_server);
  tls.use_certificate_chain(asio::buffer(pem));
  tls.use_private_key(asio::buffer(pem), asio::ssl::context::pem);

  asio::io_context context(1);
  Acceptor acceptor(context, {asio::ip::address_v4::loopback(), options.port});
  bench::announce(acceptor.local_endpoint().port());
  accept(acceptor, tls);
  context.run();
}
