// libuv's UDP echo server at its best: recvmmsg into one buffer for many datagrams, uv_udp_try_send
// first; what the kernel refuses is copied and queued.

#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "server_options.h"

namespace {

// libuv cuts this in pieces of 64 KiB and takes at most 20 datagrams a call.
std::array<char, 20 * 64 * 1024> shared_buffer;

void lend_shared(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(shared_buffer.data(), shared_buffer.size());
}

struct Send {
  uv_udp_send_t request;
  char* data;
};

void queue(uv_udp_t* socket, const uv_buf_t& datagram, const sockaddr* sender) {
  auto* send = new Send{{}, static_cast<char*>(std::malloc(datagram.len))};
  std::memcpy(send->data, datagram.base, datagram.len);
  send->request.data = send;
  const uv_buf_t copy = uv_buf_init(send->data, static_cast<unsigned>(datagram.len));
  uv_udp_send(&send->request, socket, &copy, 1, sender, [](uv_udp_send_t* request, int) {
    auto* done = static_cast<Send*>(request->data);
    std::free(done->data);
    delete done;
  });
}

void on_datagram(uv_udp_t* socket, ssize_t size, const uv_buf_t* buffer, const sockaddr* sender,
                 unsigned) {
  if (size < 0 || sender == nullptr) return;
  const uv_buf_t datagram = uv_buf_init(buffer->base, static_cast<unsigned>(size));
  if (uv_udp_try_send(socket, &datagram, 1, sender) == UV_EAGAIN) queue(socket, datagram, sender);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  uv_loop_t* loop = uv_default_loop();
  uv_udp_t socket;
  uv_udp_init_ex(loop, &socket, AF_INET | UV_UDP_RECVMMSG);
  sockaddr_in address{};
  uv_ip4_addr("127.0.0.1", options.port, &address);
  int error = uv_udp_bind(&socket, reinterpret_cast<const sockaddr*>(&address), 0);
  if (error == 0) error = uv_udp_recv_start(&socket, lend_shared, on_datagram);
  if (error != 0) bench::fail("bind", uv_strerror(error));
  int length = sizeof address;
  uv_udp_getsockname(&socket, reinterpret_cast<sockaddr*>(&address), &length);
  bench::announce(ntohs(address.sin_port));
  return uv_run(loop, UV_RUN_DEFAULT);
}
