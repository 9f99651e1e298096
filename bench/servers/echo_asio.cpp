// Asio's echo server as its own examples write it (callbacks, a session kept alive by its
// handlers), with the tuning a careful user gives it: a concurrency hint of 1, sockets typed with
// the io_context's own executor instead of the type-erased one, and a read buffer of 64 KiB for
// each connection: async_write sends at most that much at a time.

#include <asio.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "server_options.h"

namespace {

using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Socket socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](auto error, std::size_t size) {
                              if (!error) self->write(size);
                            });
  }

 private:
  void write(std::size_t size) {
    asio::async_write(socket_, asio::buffer(buffer_.data(), size),
                      [self = shared_from_this()](auto error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  Socket socket_;
  std::array<std::byte, 64 * 1024> buffer_;
};

void accept(Acceptor& acceptor) {
  acceptor.async_accept([&acceptor](auto error, Socket socket) {
    if (!error) {
      socket.set_option(asio::ip::tcp::no_delay(true));
      std::make_shared<Session>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  asio::io_context context(1);
  Acceptor acceptor(context, {asio::ip::address_v4::loopback(), options.port});
  bench::announce(acceptor.local_endpoint().port());
  accept(acceptor);
  context.run();
}
