// Asio's echo server as its own examples write it (callbacks, a session kept alive by its
// handlers; or --coroutines, one for each connection), with the tuning a careful user gives it: a
// concurrency hint of 1, sockets typed with the io_context's own executor instead of the type-erased
// one, errors that do not throw, and a read buffer of 64 KiB for each connection: async_write sends
// at most that much at a time. With --discard it does not answer.
//
// Over epoll, and over io_uring where Asio is told to take that when it is compiled.

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
using Buffer = std::array<std::byte, 64 * 1024>;

bool discard = false;

template <class Protocol>
void set_options(Socket<Protocol>& socket) {
  if constexpr (std::is_same_v<Protocol, Tcp>) socket.set_option(Tcp::no_delay(true));
}

// Callbacks.

template <class Protocol>
class Session : public std::enable_shared_from_this<Session<Protocol>> {
 public:
  explicit Session(Socket<Protocol> socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = this->shared_from_this()](auto error, std::size_t size) {
                              if (error) return;
                              if (discard) {
                                self->read();
                              } else {
                                self->write(size);
                              }
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
  Buffer buffer_;
};

template <class Protocol>
void accept(Acceptor<Protocol>& acceptor) {
  acceptor.async_accept([&acceptor](auto error, Socket<Protocol> socket) {
    if (!error) {
      set_options(socket);
      std::make_shared<Session<Protocol>>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

// Coroutines.

using Coroutine = asio::awaitable<void, Executor>;

auto use_awaitable(asio::error_code& error) {
  return asio::redirect_error(asio::use_awaitable_t<Executor>(), error);
}

template <class Protocol>
Coroutine echo(Socket<Protocol> socket) {
  Buffer buffer;
  asio::error_code error;
  while (!error) {
    const auto size = co_await socket.async_read_some(asio::buffer(buffer), use_awaitable(error));
    if (error || discard) continue;
    co_await asio::async_write(socket, asio::buffer(buffer.data(), size), use_awaitable(error));
  }
}

template <class Protocol>
Coroutine accept_all(Acceptor<Protocol>& acceptor) {
  for (;;) {
    asio::error_code error;
    auto socket = co_await acceptor.async_accept(use_awaitable(error));
    if (error) continue;
    set_options(socket);
    asio::co_spawn(acceptor.get_executor(), echo(std::move(socket)), asio::detached);
  }
}

template <class Protocol>
void serve(asio::io_context& context, Acceptor<Protocol>& acceptor, bool coroutines) {
  if (coroutines) {
    asio::co_spawn(context.get_executor(), accept_all(acceptor), asio::detached);
  } else {
    accept(acceptor);
  }
  context.run();
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  discard = options.discard;
  asio::io_context context(1);
  if (options.unix_path.empty()) {
    Acceptor<Tcp> acceptor(context, {asio::ip::address_v4::loopback(), options.port});
    bench::announce(acceptor.local_endpoint().port());
    serve(context, acceptor, options.coroutines);
  } else {
    Acceptor<Unix> acceptor(context, Unix::endpoint(options.unix_path));
    bench::announce(options.unix_path);
    serve(context, acceptor, options.coroutines);
  }
}
