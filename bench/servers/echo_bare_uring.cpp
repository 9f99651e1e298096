// The other yardstick: an echo server with nothing between it and io_uring.
//
// Multishot accept and receive; four buffers of 512 KiB that the kernel fills bit by bit, which are sent from
// and given back when all that was in them has left; one system call a turn, which submits all sends and waits.
// With --discard it does not answer.

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "server_options.h"
#include "socket_address.h"

namespace {

constexpr unsigned buffer_count = 4;
constexpr std::size_t buffer_size = 512 * 1024;
constexpr std::uint16_t incremental = 2;         // IOU_PBUF_RING_INC
constexpr std::uint32_t buffer_more = 1U << 4U;  // IORING_CQE_F_BUF_MORE

struct Piece {
  std::uint16_t buffer;
  std::byte* data;
  std::size_t size;
};

struct Connection {
  int fd = -1;
  bool receiving = false;
  bool over = false;
  std::deque<Piece> unsent{};  // the first is being sent
};

struct Buffer {
  std::size_t filled = 0;
  unsigned used = 0;
  bool kernels = true;
};

io_uring ring;
io_uring_buf_ring* offered = nullptr;
std::byte* memory = nullptr;
std::array<Buffer, buffer_count> buffers;
std::deque<Connection*> starved;  // whose receive ended for the lack of a buffer
bool discard = false;

enum Kind : std::uintptr_t { accepting = 0, receiving = 1, sending = 2 };

io_uring_sqe* entry(Connection* connection, Kind kind) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  while (sqe == nullptr) {
    io_uring_submit(&ring);
    sqe = io_uring_get_sqe(&ring);
  }
  sqe->user_data = reinterpret_cast<std::uintptr_t>(connection) | kind;
  return sqe;
}

void receive(Connection* connection) {
  io_uring_sqe* sqe = entry(connection, receiving);
  const auto data = sqe->user_data;
  io_uring_prep_recv_multishot(sqe, connection->fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
  sqe->user_data = data;
  connection->receiving = true;
}

void send_first(Connection* connection) {
  io_uring_sqe* sqe = entry(connection, sending);
  const auto data = sqe->user_data;
  const Piece& piece = connection->unsent.front();
  io_uring_prep_send(sqe, connection->fd, piece.data, piece.size, MSG_NOSIGNAL | MSG_WAITALL);
  sqe->user_data = data;
}

void offer(std::uint16_t id) {
  buffers[id] = {};
  io_uring_buf_ring_add(offered, memory + id * buffer_size, buffer_size, id,
                        io_uring_buf_ring_mask(buffer_count), 0);
  io_uring_buf_ring_advance(offered, 1);
  for (; !starved.empty(); starved.pop_front()) receive(starved.front());
}

void release(std::uint16_t id) {
  Buffer& buffer = buffers[id];
  if (--buffer.used == 0 && !buffer.kernels) offer(id);
}

void end_if_over(Connection* connection) {
  if (!connection->over || connection->receiving || !connection->unsent.empty()) return;
  ::close(connection->fd);
  delete connection;
}

void on_received(Connection* connection, const io_uring_cqe& cqe) {
  if (cqe.res > 0) {
    const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    Buffer& buffer = buffers[id];
    const auto size = static_cast<std::size_t>(cqe.res);
    std::byte* data = memory + id * buffer_size + buffer.filled;
    buffer.filled += size;
    buffer.kernels = (cqe.flags & buffer_more) != 0;
    ++buffer.used;
    if (discard) {
      release(id);
    } else {
      connection->unsent.push_back({id, data, size});
      if (connection->unsent.size() == 1) send_first(connection);
    }
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
  connection->receiving = false;
  const bool no_buffer = cqe.res == -ENOBUFS;
  if (no_buffer && std::ranges::none_of(buffers, &Buffer::kernels)) {
    connection->receiving = true;
    starved.push_back(connection);
  } else if (no_buffer || cqe.res > 0) {  // a buffer may have been given back meanwhile
    receive(connection);
  } else {
    connection->over = true;
    end_if_over(connection);
  }
}

void on_sent(Connection* connection, int result) {
  Piece& piece = connection->unsent.front();
  if (result > 0 && static_cast<std::size_t>(result) < piece.size) {
    piece.data += result;
    piece.size -= static_cast<std::size_t>(result);
    return send_first(connection);
  }
  release(piece.buffer);
  connection->unsent.pop_front();
  if (!connection->unsent.empty()) return send_first(connection);
  end_if_over(connection);
}

void open_ring() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = 8192;
  int result = io_uring_queue_init_params(1024, &ring, &params);
  if (result < 0) bench::fail("io_uring_setup", std::strerror(-result));
  const auto pages = [](std::size_t size) {
    return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  offered = static_cast<io_uring_buf_ring*>(pages(4096));
  memory = static_cast<std::byte*>(pages(buffer_count * buffer_size));
  io_uring_buf_ring_init(offered);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(offered);
  registration.ring_entries = buffer_count;
  const auto set_flags = [](auto& of) {
    if constexpr (requires { of.flags; }) {
      of.flags = incremental;
    } else {
      of.pad = incremental;
    }
  };
  set_flags(registration);
  result = io_uring_register_buf_ring(&ring, &registration, 0);
  if (result < 0) bench::fail("io_uring_register_buf_ring", std::strerror(-result));
  for (unsigned id = 0; id < buffer_count; ++id) offer(static_cast<std::uint16_t>(id));
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  const bool tcp = options.unix_path.empty();
  discard = options.discard;
  open_ring();
  const auto address = tcp ? bench::SocketAddress::loopback(options.port)
                           : bench::SocketAddress::unix_path(options.unix_path);
  const int listener = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (tcp) {
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited
  }
  if (::bind(listener, address.get(), address.size()) != 0 || ::listen(listener, SOMAXCONN) != 0) {
    bench::fail("listen", std::strerror(errno));
  }
  bench::announce(bench::SocketAddress::of(listener).text());
  const auto accept = [&] {
    io_uring_sqe* sqe = entry(nullptr, accepting);
    io_uring_prep_multishot_accept(sqe, listener, nullptr, nullptr, SOCK_CLOEXEC);
    sqe->user_data = accepting;
  };
  accept();
  for (;;) {
    io_uring_submit_and_wait(&ring, 1);
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring, head, cqe) {
      ++count;
      const auto kind = static_cast<Kind>(cqe->user_data & 3U);
      auto* connection = reinterpret_cast<Connection*>(cqe->user_data & ~std::uint64_t{3});
      if (kind == receiving) {
        on_received(connection, *cqe);
      } else if (kind == sending) {
        on_sent(connection, cqe->res);
      } else {
        if (cqe->res >= 0) receive(new Connection{.fd = cqe->res});
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) accept();
      }
    }
    io_uring_cq_advance(&ring, count);
  }
}
