// Asio's UDP echo server, with the tuning a careful user gives it: a concurrency hint of 1, a socket
// typed with the io_context's own executor, and the answer sent at once, without an asynchronous
// operation unless the kernel refuses it.

#include <asio.hpp>

#include <array>
#include <cstddef>

#include "server_options.h"

namespace {

using Udp = asio::ip::udp;
using Socket = asio::basic_datagram_socket<Udp, asio::io_context::executor_type>;

class Echo {
 public:
  Echo(asio::io_context& context, std::uint16_t port)
      : socket_(context, Udp::endpoint(asio::ip::address_v4::loopback(), port)) {
    socket_.non_blocking(true);
  }

  std::uint16_t port() const { return socket_.local_endpoint().port(); }

  void receive() {
    socket_.async_receive_from(asio::buffer(buffer_), sender_,
                               [this](auto error, std::size_t size) {
                                 if (!error) {
                                   answer(size);
                                 } else {
                                   receive();
                                 }
                               });
  }

 private:
  void answer(std::size_t size) {
    const auto data = asio::buffer(buffer_.data(), size);
    asio::error_code error;
    socket_.send_to(data, sender_, 0, error);
    if (error != asio::error::would_block) return receive();
    socket_.async_send_to(data, sender_, [this](auto, std::size_t) { receive(); });
  }

  Socket socket_;
  Udp::endpoint sender_;
  std::array<std::byte, 64 * 1024> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  asio::io_context context(1);
  Echo echo(context, options.port);
  bench::announce(echo.port());
  echo.receive();
  context.run();
}
