// Asio's echo server as its own examples write it (callbacks, a session kept alive by its
// handlers), with the tuning a careful user gives it: a concurrency hint of 1, sockets typed with
// the io_context's own executor instead of the type-erased one, and a read buffer of 64 KiB for
// each connection: async_write sends at most that much at a time.

#include <asio.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "server_options.h"

namespace {

using Executor = asio::io_context::executor_type;
template <class Protocol>
using Socket = asio::basic_stream_socket<Protocol, Executor>;
template <class Protocol>
using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;
using Tcp = asio::ip::tcp;
using Unix = asio::local::stream_protocol;

template <class Protocol>
class Session : public std::enable_shared_from_this<Session<Protocol>> {
 public:
  explicit Session(Socket<Protocol> socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = this->shared_from_this()](auto error, std::size_t size) {
                              if (!error) self->write(size);
                            });
  }

 private:
  void write(std::size_t size) {
    asio::async_write(socket_, asio::buffer(buffer_.data(), size),
                      [self = this->shared_from_this()](auto error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  Socket<Protocol> socket_;
  std::array<std::byte, 64 * 1024> buffer_;
};

template <class Protocol>
void accept(Acceptor<Protocol>& acceptor) {
  acceptor.async_accept([&acceptor](auto error, Socket<Protocol> socket) {
    if (!error) {
      if constexpr (std::is_same_v<Protocol, Tcp>) socket.set_option(Tcp::no_delay(true));
      std::make_shared<Session<Protocol>>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  asio::io_context context(1);
  if (options.unix_path.empty()) {
    Acceptor<Tcp> acceptor(context, {asio::ip::address_v4::loopback(), options.port});
    bench::announce(acceptor.local_endpoint().port());
    accept(acceptor);
    context.run();
  } else {
    Acceptor<Unix> acceptor(context, Unix::endpoint(options.unix_path));
    bench::announce(options.unix_path);
    accept(acceptor);
    context.run();
  }
}
