#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend.h"
#include "epoll_backend.h"
#include "intrusive_list.h"
#include "uring_buffers.h"

// io_uring, where it is ahead of epoll: waiting, small receives, and sends of many channels with one system call.
// What is left to epoll, on purpose, are listening sockets, attempts to connect, pipes, datagrams, descriptors of the
// user's, and streams that move much at once: the set of EpollBackend goes on, and the ring watches it like
// any descriptor. The reasons are in docs/architecture.md.
namespace weir::inline v0::detail {

struct UringRequestTag;
struct TogetherTag;

/// Something the kernel was asked for. It stays where it is until its last completion.
class UringRequest : public ListNode<UringRequestTag> {
 public:
  /// `flags` without IORING_CQE_F_MORE: the last one, after which the request may destroy itself. Also called
  /// for the last time, with -ECANCELED, when the ring goes.
  virtual void complete(int result, std::uint32_t flags) noexcept = 0;

 protected:
  ~UringRequest() = default;
};

/// Who sends together with others, once each time it asks to.
class UringSender : public ListNode<TogetherTag> {
 public:
  /// What to send, until sent_together(); none: no more.
  virtual std::size_t pieces_to_send(std::span<ConstBytes> pieces) noexcept = 0;
  virtual int sending_descriptor() const noexcept = 0;
  /// How much of those `size` bytes left, or an error code below 0; may be would-block.
  virtual void sent_together(std::size_t size, int result) noexcept = 0;
  virtual bool awaits_sent() const noexcept = 0;

 protected:
  ~UringSender() = default;
};

/// What to do without, though the kernel may have it.
struct UringMask {
  bool everything = false;           ///< io_uring
  bool deferred_work = false;        ///< DEFER_TASKRUN and SINGLE_ISSUER
  bool incremental_buffers = false;  ///< IOU_PBUF_RING_INC
  bool multishot_receive = false;
  bool large_queues = false;  ///< a few entries must do
};
/// Of the environment variable WEIR_URING_WITHOUT: names as above, with commas.
UringMask uring_mask();

class UringBackend final : public EpollBackend {
 public:
  /// Throws std::system_error.
  UringBackend(const UringMask& mask, UringWish wish);
  ~UringBackend() override;

  void wait(std::optional<TimePoint> deadline) noexcept override;
  void flush() noexcept override;
  int poll_descriptor() noexcept override;
  bool has_pending_events() const noexcept override;
  std::unique_ptr<StreamChannel> make_stream(Fd socket, AddressFamily family) override;

  // --- For the channels
  /// Asks to receive from `socket` into the buffers, again and again. False: that cannot be had.
  bool receive(int socket, UringRequest& request) noexcept;
  /// The last completion of `request` follows, maybe at once.
  void cancel(UringRequest& request) noexcept;
  UringBuffers& buffers() noexcept { return *buffers_; }
  /// Whether sends may wait for those of others: another wait(), or flush(), follows soon.
  bool sends_together() const noexcept { return running_ && ring_ != nullptr; }
  void send_together(UringSender& sender) noexcept { together_.push_back(sender); }
  using EpollBackend::make_ready;
  int kernel_descriptor() const noexcept override;
  /// Has the kernel act at once on what it was asked for.
  void submit_all() noexcept;

 private:
  /// Owns the ring. One that defers its work is its thread's alone. Any other may be used by all, and must be: what
  /// it does meanwhile for the thread that asked would be lost with it.
  class Ring {
   public:
    explicit Ring(const UringMask& mask);
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    ~Ring() { io_uring_queue_exit(&ring); }

    bool is_of_one_thread() const noexcept { return is_of_one_thread_; }
    bool is_of_another_thread() const noexcept;

    io_uring ring{};

   private:
    const std::uint64_t thread_;
    bool is_of_one_thread_ = false;
  };
  /// Watches the epoll set, once.
  class EpollWaiter final : public UringRequest {
   public:
    void complete(int result, std::uint32_t flags) noexcept override;
    bool armed = false;
    bool fired = false;
  };
  /// What is being sent: in place until the kernel took it. A completion comes only if not all of it left.
  struct Sending final : UringRequest {
    void complete(int how, std::uint32_t) noexcept override { result = how; }
    UringSender* sender = nullptr;
    std::size_t size = 0;
    int result = 0;
    std::vector<iovec> pieces{};  ///< if there are several
    msghdr message{};
  };

  bool is_ahead_of_epoll() const noexcept;
  void move_to_this_thread() noexcept;
  void leave_ring() noexcept;
  void cancel_all() noexcept;
  void close_ring(std::unique_ptr<Ring> next) noexcept;
  io_uring_sqe* next_entry() noexcept;
  void withdraw_sends() noexcept;
  bool has_nothing_to_do() const noexcept;
  void watch_epoll() noexcept;
  bool prepare_sends() noexcept;
  void finish_sends() noexcept;
  void enter(std::optional<TimePoint> deadline, bool at_once) noexcept;
  void reap() noexcept;

  const UringMask mask_;
  std::unique_ptr<UringBuffers> buffers_;
  /// Null once a host waits for us, or none could be had on another thread.
  std::unique_ptr<Ring> ring_;
  IntrusiveList<UringRequest, UringRequestTag> requests_;  ///< but for epoll_waiter_
  EpollWaiter epoll_waiter_;
  IntrusiveList<UringSender, TogetherTag> together_;
  std::vector<std::unique_ptr<Sending>> sending_;  ///< the first `sending_now_` are in use
  std::size_t sending_now_ = 0;
  bool running_ = false;
  bool hosted_ = false;  ///< somebody else waits for us
};

}  // namespace weir::inline v0::detail
