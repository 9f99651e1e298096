#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>

#include "backend.h"
#include "epoll_backend.h"
#include "epoll_channel.h"
#include "fd.h"

namespace weir::inline v0::detail {

/// A byte stream over epoll. This class is TCP's; Unix sockets and pipes differ in how they receive and
/// send, and derive from it.
class EpollStreamChannel : public StreamChannel, protected EpollChannel {
 public:
  /// How far one receive gets: a TCP stream gives all it has, others may stop anywhere.
  enum class Receives : bool { all, some };

  EpollStreamChannel(EpollBackend& backend, Fd descriptor, Receives receives = Receives::all);

  void attach(StreamEvents& events) noexcept override { events_up_ = &events; }
  void start_receiving() noexcept override { begin_receiving(); }
  void stop_receiving() noexcept override { receiving_ = false; }
  SendResult try_send(std::span<const ConstBytes> pieces) noexcept override;
  void start_sending() noexcept override { begin_sending(); }
  void shutdown_send() noexcept override;
  void close() noexcept override { end(); }

  Address local_address() const override;
  int descriptor() const noexcept override { return descriptor_; }

 protected:
  void receive() noexcept override;
  /// recv(). May set `drain_`.
  virtual ssize_t receive_some(std::span<std::byte> buffer) noexcept;
  /// send(), of several pieces.
  virtual ssize_t send_some(std::span<const ConstBytes> pieces) noexcept;
  std::uint32_t input_interest() const noexcept override { return stream_input; }
  StreamEvents& events_up() const noexcept { return *events_up_; }
  void send_queue() noexcept override;
  void fail(std::error_code error) noexcept;
  /// Whether nothing but bytes leaves with what is sent next.
  virtual bool sends_bytes_only() const noexcept { return true; }
  /// From now on receive_some() has to receive: nobody else knows how.
  virtual void must_receive_itself() noexcept {}

 private:
  void tell_failure(std::error_code error) noexcept override { events_up_->on_failed(error); }
  void tell_closed() noexcept override { events_up_->on_closed(); }
  SendResult send_pieces(std::span<const ConstBytes> pieces) noexcept;

  StreamEvents* events_up_ = nullptr;
};

/// `pieces` as the system writes them, into `vectors`; returns how many there are.
std::size_t gather(std::span<const ConstBytes> pieces, std::span<iovec> vectors) noexcept;

/// sendmsg() of `pieces`, with `control` beside the bytes.
ssize_t send_gathered(int socket, std::span<const ConstBytes> pieces,
                      std::span<std::byte> control = {}) noexcept;

}  // namespace weir::inline v0::detail
