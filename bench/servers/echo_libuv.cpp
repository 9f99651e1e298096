// libuv's echo server, in two styles. With --discard it does not answer.
//
// Best: uv_try_write first, one read buffer of 256 KiB for all connections; what the kernel refuses
// is copied and queued, and reading waits until it is gone.
// Usual (--usual): as in libuv's own guide, a fresh buffer for each read, handed to uv_write and
// freed when that is done.

#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "server_options.h"

namespace {

std::array<char, 256 * 1024> shared_buffer;
bool usual = false;
bool discard = false;

struct Write {
  uv_write_t request;
  std::unique_ptr<char[], void (*)(void*)> data{nullptr, std::free};
};

/// A TCP or a Unix socket: libuv's own union of their handles.
struct Socket {
  uv_any_handle any;

  uv_stream_t* stream() { return &any.stream; }
  void init(uv_loop_t* loop, bool tcp) {
    if (tcp) {
      uv_tcp_init(loop, &any.tcp);
    } else {
      uv_pipe_init(loop, &any.pipe, 0);
    }
  }
};

void close(uv_stream_t* stream) {
  auto* handle = reinterpret_cast<uv_handle_t*>(stream);
  if (uv_is_closing(handle)) return;
  uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<Socket*>(closed); });
}

void write(uv_stream_t* stream, char* data, std::size_t size, uv_write_cb done) {
  auto* write = new Write{{}, {data, std::free}};
  write->request.data = write;
  uv_buf_t buffer = uv_buf_init(data, static_cast<unsigned>(size));
  uv_write(&write->request, stream, &buffer, 1, done);
}

// The usual style.

void allocate_fresh(uv_handle_t*, std::size_t suggested, uv_buf_t* buffer) {
  *buffer =
      uv_buf_init(static_cast<char*>(std::malloc(suggested)), static_cast<unsigned>(suggested));
}

void on_read_usual(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  if (size > 0 && !discard) {
    write(stream, buffer->base, static_cast<std::size_t>(size),
          [](uv_write_t* request, int) { delete static_cast<Write*>(request->data); });
    return;
  }
  std::free(buffer->base);
  if (size < 0) close(stream);
}

// The best style.

void lend_shared(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(shared_buffer.data(), shared_buffer.size());
}

void on_read_best(uv_stream_t* stream, ssize_t received, const uv_buf_t* buffer) {
  if (received < 0) return close(stream);
  if (discard) return;
  const auto size = static_cast<std::size_t>(received);
  uv_buf_t all = uv_buf_init(buffer->base, static_cast<unsigned>(size));
  const int result = size == 0 ? 0 : uv_try_write(stream, &all, 1);
  if (result < 0 && result != UV_EAGAIN) return close(stream);
  const auto sent = static_cast<std::size_t>(result < 0 ? 0 : result);
  if (sent == size) return;

  auto* rest = static_cast<char*>(std::malloc(size - sent));
  std::memcpy(rest, buffer->base + sent, size - sent);
  uv_read_stop(stream);
  write(stream, rest, size - sent, [](uv_write_t* request, int status) {
    if (status == 0) uv_read_start(request->handle, lend_shared, on_read_best);
    delete static_cast<Write*>(request->data);
  });
}

void on_connection(uv_stream_t* server, int status) {
  if (status < 0) return;
  const bool tcp = server->type == UV_TCP;
  auto* socket = new Socket;
  socket->init(server->loop, tcp);
  if (uv_accept(server, socket->stream()) != 0) return close(socket->stream());
  if (tcp) uv_tcp_nodelay(&socket->any.tcp, 1);
  if (usual) {
    uv_read_start(socket->stream(), allocate_fresh, on_read_usual);
  } else {
    uv_read_start(socket->stream(), lend_shared, on_read_best);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  usual = options.usual;
  discard = options.discard;
  std::signal(SIGPIPE, SIG_IGN);  // libuv leaves that to its user

  uv_loop_t* loop = uv_default_loop();
  const bool tcp = options.unix_path.empty();
  Socket server;
  server.init(loop, tcp);
  sockaddr_in address{};
  if (tcp) {
    uv_ip4_addr("127.0.0.1", options.port, &address);
    uv_tcp_bind(&server.any.tcp, reinterpret_cast<const sockaddr*>(&address), 0);
  } else {
    uv_pipe_bind(&server.any.pipe, options.unix_path.c_str());
  }
  if (const int error = uv_listen(server.stream(), SOMAXCONN, on_connection); error != 0) {
    bench::fail("listen", uv_strerror(error));
  }
  if (tcp) {
    int length = sizeof address;
    uv_tcp_getsockname(&server.any.tcp, reinterpret_cast<sockaddr*>(&address), &length);
    bench::announce(ntohs(address.sin_port));
  } else {
    bench::announce(options.unix_path);
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}
