#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "epoll_stream.h"
#include "pipe_calls.h"

namespace weir::inline v0::detail {
namespace {

/// The read end of a pipe. A socket given as one is an ordinary stream channel.
class EpollReadEnd final : public EpollStreamChannel {
 public:
  EpollReadEnd(EpollBackend& backend, Fd pipe)
      : EpollStreamChannel(backend, std::move(pipe), Receives::some) {}

 private:
  ssize_t receive_some(std::span<std::byte> buffer) noexcept override {
    return ::read(descriptor_, buffer.data(), buffer.size());
  }
};

/// The write end of a pipe: nothing is received, but the loss of whoever reads is told as the end.
class EpollWriteEnd final : public EpollStreamChannel {
 public:
  EpollWriteEnd(EpollBackend& backend, Fd pipe, PipeKind kind)
      : EpollStreamChannel(backend, std::move(pipe), Receives::some), kind_(kind) {}

 private:
  std::size_t deliver() noexcept override {
    if ((events_ & loss_events()) != 0) lost_ = true;
    return EpollStreamChannel::deliver();
  }

  void receive() noexcept override {
    readable_ = false;
    if (!lost_) return;
    receiving_ = false;
    events_up().on_eof();
  }

  /// What tells that nobody reads: the other end of a pipe is gone, or that of a socket will say no
  /// more, whatever it said before. Of a device nothing does; a terminal comes back from a hang-up. [I10, I11]
  std::uint32_t loss_events() const noexcept {
    switch (kind_) {
      case PipeKind::pipe: return EPOLLERR;
      case PipeKind::socket: return EPOLLRDHUP | EPOLLHUP | EPOLLERR;
      case PipeKind::device: break;
    }
    return 0;
  }

  std::uint32_t input_interest() const noexcept override { return EPOLLRDHUP; }

  ssize_t send_some(std::span<const ConstBytes> pieces) noexcept override {
    if (kind_ == PipeKind::socket) return EpollStreamChannel::send_some(pieces);
    // NOLINTNEXTLINE(*-member-init): filled as far as it is used
    std::array<iovec, max_send_pieces> vectors;
    const std::size_t count = gather(pieces, vectors);
    return write_without_signal(descriptor_, std::span(vectors).first(count), no_signal_);
  }

  const PipeKind kind_;
  NoSignal no_signal_ = NoSignal::by_flag;
  bool lost_ = false;
};

}  // namespace

Result<std::unique_ptr<StreamChannel>> EpollBackend::adopt_pipe(int descriptor, PipeEnd end) {
  if (owns(descriptor)) return std::make_error_code(std::errc::device_or_resource_busy);
  Result<PipeKind> kind = prepare_adopted_pipe(descriptor, end);
  if (!kind) return kind.error();
  std::unique_ptr<StreamChannel> channel;
  if (end == PipeEnd::write) {
    channel = std::make_unique<EpollWriteEnd>(*this, Fd(descriptor), kind.value());
  } else if (kind.value() == PipeKind::socket) {
    channel = std::make_unique<EpollStreamChannel>(*this, Fd(descriptor),
                                                   EpollStreamChannel::Receives::some);
  } else {
    channel = std::make_unique<EpollReadEnd>(*this, Fd(descriptor));
  }
  return channel;
}

}  // namespace weir::inline v0::detail
