#include <weir/sendfile.h>

#include <weir/error.h>
#include <weir/sock.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "file_sending.h"
#include "live_handle.h"
#include "loop.h"
#include "stream_transport.h"
#include "user_socket.h"

namespace weir::inline v0 {

SendfileNotAvailableError::~SendfileNotAvailableError() = default;

namespace detail {
namespace {

// --- On a transport ---------------------------------------------------------------------------------

/// sendfile() on a transport, whose sending half it has to itself, and which does not read meanwhile.
class TransportFileSending final : public FileSending, private WriteLock {
 public:
  TransportFileSending(StreamTransport& transport, Loop& loop, FileSource source,
                       const SendfileOptions& options, Future<std::uint64_t> future)
      : FileSending(loop, std::move(source), options, std::move(future)),
        transport_(transport.handle()),
        was_reading_(transport.is_reading()) {
    transport.pause_reading();
    transport.lock_writing(*this);
  }
  ~TransportFileSending() override {
    // When the loop goes, so may the transport have.
    if (lost_ || StreamTransport::of(transport_) == nullptr) return;
    transport().unlock_writing();
    if (was_reading_) transport().resume_reading();
  }

 private:
  StreamTransport& transport() const noexcept { return *StreamTransport::of(transport_); }
  int descriptor() const noexcept { return transport().channel().descriptor(); }

  bool has_system_socket() const noexcept override {
    return descriptor() >= 0 && loop().backend().user_sockets() != nullptr;
  }
  void begin_native() override {
    draining_ = transport().get_write_buffer_size() > 0;
    if (!draining_ && open_socket(descriptor())) send_natively();
  }
  const char* activity() const noexcept override { return "sendfile"; }
  void on_drained() noexcept override {
    if (draining_) begin_native();
  }

  void on_lost(const CloseReason& reason) noexcept override {
    lost_ = true;
    reason ? fail(reason.exception()) : fail_as_closed();
  }
  void fail_as_closed() {
    fail(std::make_exception_ptr(
        std::system_error(std::make_error_code(std::errc::connection_aborted),
                          "sendfile: the transport was closed")));
  }

  /// As after a failed write(), the connection is over: on_lost() follows. [S26]
  void on_broken(std::error_code error) override { transport().abort(error); }

  std::size_t block_size() const noexcept override { return std::size_t{16} * 1024; }

  void send_block(FileSource::Block block) override {
    if (transport().is_writing_paused()) {
      waiting_ = std::move(block);
    } else {
      write(std::move(block));
    }
  }
  void on_resumed() noexcept override {
    if (!waiting_.empty()) write(std::exchange(waiting_, {}));
  }
  void write(FileSource::Block block) {
    // Over TLS what is below may be: that takes what it is given and drops it. [T22]
    if (transport().is_closing()) return fail_as_closed();
    const std::size_t size = block.size();
    const SlotRef alive = name();
    transport().write_locked(Buffer(std::move(block)));
    if (alive.alive()) block_sent(size);
  }

  Transport transport_;
  FileSource::Block waiting_;  ///< for flow control
  bool was_reading_;
  bool draining_ = false;  ///< waits for what was written before
  bool lost_ = false;
};

/// The transport behind `handle`, if it may send a file now. [K1]
StreamTransport& sendable(const Transport& handle) {
  StreamTransport* const transport = on_its_thread(StreamTransport::of(handle));
  if (transport == nullptr || transport->is_closing()) {
    throw WrongStateError("sendfile() on a transport that is closing");
  }
  if (transport->is_pipe()) {
    throw WrongStateError("sendfile() is for sockets, and this transport is of a pipe");
  }
  if (transport->has_written_eof())
    throw WrongStateError("Cannot call sendfile() after write_eof()");
  transport->require_unlocked("unable to send a file");
  return *transport;
}

// --- On a socket of the user's ----------------------------------------------------------------------

class SocketFileSending final : public FileSending {
 public:
  SocketFileSending(Loop& loop, int socket, FileSource source, const SendfileOptions& options,
                    Future<std::uint64_t> future)
      : FileSending(loop, std::move(source), options, std::move(future)), users_(socket) {}

 private:
  bool has_system_socket() const noexcept override { return true; }
  void begin_native() override {
    if (open_socket(users_)) send_natively();
  }
  void begin_fallback() override {
    if (socket() >= 0 || open_socket(users_)) read_block();
  }
  std::size_t block_size() const noexcept override { return std::size_t{256} * 1024; }
  void send_block(FileSource::Block block) override {
    block_ = std::move(block);
    sent_ = 0;
    send_rest();
  }
  void on_room() override { block_.empty() ? send_natively() : send_rest(); }
  void send_rest();

  const int users_;  ///< the socket as the user knows it
  FileSource::Block block_;
  std::size_t sent_ = 0;  ///< of the block
};

void SocketFileSending::send_rest() {
  Result<std::size_t> count =
      loop().backend().user_sockets()->send(socket(), ConstBytes(block_).subspan(sent_));
  if (count) {
    sent_ += count.value();
  } else if (count.error() != std::errc::operation_would_block) {
    return on_broken(count.error());
  }
  if (sent_ < block_.size()) return wait_for_room();
  const SlotRef alive = name();
  stop_waiting_for_room();
  if (!alive.alive()) return;
  const std::size_t size = std::exchange(block_, {}).size();
  block_sent(size);
}

int stream_socket(Loop& loop, int socket) {
  if (!usable_socket(loop, socket).is_stream(socket)) {
    throw std::invalid_argument("descriptor " + std::to_string(socket) +
                                " is not a stream socket: files are sent over those only");
  }
  return socket;
}

/// Owned by the loop; `make()` may throw.
template <class Make>
Future<std::uint64_t> start_sending(EventLoop& loop, Make make) {
  Future<std::uint64_t> future(loop);
  try {
    Loop& inner = Loop::of(loop);
    inner.require_open();
    inner.own(make(inner, future)).start();
  } catch (...) {
    future.set_exception(std::current_exception());
  }
  return future;
}

}  // namespace
}  // namespace detail

Future<std::uint64_t> sendfile(EventLoop& loop, const Transport& transport, int file,
                               SendfileOptions options) {
  using namespace detail;
  return start_sending(loop, [&](Loop& inner, const Future<std::uint64_t>& future) {
    StreamTransport& target = sendable(transport);
    return std::make_unique<TransportFileSending>(target, inner, FileSource(file, options), options,
                                                  future);
  });
}

Future<std::uint64_t> sock_sendfile(EventLoop& loop, int sock, int file, SendfileOptions options) {
  using namespace detail;
  return start_sending(loop, [&](Loop& inner, const Future<std::uint64_t>& future) {
    const int socket = stream_socket(inner, sock);
    return std::make_unique<SocketFileSending>(inner, socket, FileSource(file, options), options,
                                               future);
  });
}

}  // namespace weir::inline v0
