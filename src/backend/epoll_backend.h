#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend.h"
#include "fd.h"
#include "intrusive_list.h"
#include "process_mark.h"

// What the channels over Linux's epoll have in common. Each kind has a file of its own, which also
// opens it: epoll_stream, epoll_pipe, epoll_listen, epoll_connect, epoll_datagram, epoll_watch.
//
// Channels are registered edge-triggered, once, when they start to receive; after that nothing but
// receiving and sending costs a system call. The kernel tells only changes, so each channel remembers what
// it was told: `readable_` stays until a receive comes back short, and pausing is not asking. A channel
// that has something left to do without a new edge stands in the list `next_`, and is dispatched in
// the next turn. Listening sockets and the user's own descriptors are level-triggered.
namespace weir::inline v0::detail {

struct ReadyTag;
class DatagramBuffer;
class EpollBackend;

inline constexpr std::uint32_t stream_input = EPOLLIN | EPOLLPRI | EPOLLRDHUP;
inline constexpr std::uint32_t input_events = stream_input | EPOLLHUP | EPOLLERR;
inline constexpr std::uint32_t output_events = EPOLLOUT | EPOLLHUP | EPOLLERR;

/// Something with a descriptor in the epoll set.
class Source : public ListNode<ReadyTag> {
 public:
  enum class Owner : bool { user, backend };

  Source(EpollBackend& backend, int descriptor, Owner owner) noexcept
      : backend_(backend), descriptor_(descriptor), owner_(owner) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  int descriptor() const noexcept { return descriptor_; }
  /// Whose descriptor it is.
  Owner owner() const noexcept { return owner_; }
  void add_events(std::uint32_t events) noexcept { events_ |= events; }

  /// Acts on the events collected; returns how many it delivered. May destroy this: see
  /// EpollBackend::is_delivering().
  virtual std::size_t deliver() noexcept = 0;
  /// What the kernel gives back with its events.
  virtual std::uint64_t name() const noexcept { return reinterpret_cast<std::uintptr_t>(this); }
  /// Its descriptor has been closed, and another source has the number now. [L31]
  virtual void descriptor_reused() noexcept {}

 protected:
  virtual ~Source();

  std::uint32_t take_events() noexcept { return std::exchange(events_, 0); }
  std::error_code control(int operation, std::uint32_t events) noexcept;
  void deliver_next_turn() noexcept;

  EpollBackend& backend_;
  int descriptor_;
  std::uint32_t events_ = 0;
  Owner owner_;
};

/// At the start of a page: the kernel's copies are faster to an aligned address.
struct alignas(4096) ReceiveBuffer {
  std::array<std::byte, receive_buffer_size> bytes;
};

/// uring_backend.h adds a ring to it.
class EpollBackend : public Backend {
 public:
  /// Throws std::system_error.
  EpollBackend();
  ~EpollBackend() override;

  TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  void wait(std::optional<TimePoint> deadline) noexcept override;
  std::size_t dispatch() noexcept override;
  void interrupt_dispatch() noexcept override { interrupted_ = true; }
  void wake() noexcept override;
  int poll_descriptor() noexcept override { return epoll_.get(); }
  bool has_pending_events() const noexcept override { return !next_.empty() || !ready_.empty(); }

  std::unique_ptr<DescriptorWatch> watch(int descriptor, WatchEvents& events) override;
  UserSockets* user_sockets() noexcept override;
  bool owns(int descriptor) const noexcept override;
  Result<std::unique_ptr<ListenChannel>> bind(const Address& address,
                                              const ListenOptions& options) override;
  Result<std::unique_ptr<ListenChannel>> adopt_listener(int descriptor) override;
  Result<std::unique_ptr<StreamChannel>> adopt_stream(int descriptor) override;
  Result<std::unique_ptr<StreamChannel>> adopt_pipe(int descriptor, PipeEnd end) override;
  DatagramOpened open_datagram(const DatagramPlan& plan) override;
  Result<std::unique_ptr<DatagramChannel>> adopt_datagram(int descriptor) override;
  AddressFamily socket_family(int descriptor) const noexcept override;
  Address peer_address(int descriptor) const override;
  ConnectStart connect(const Address& remote, const Address& local, ConnectEvents& events) override;
  std::optional<KnownName> known_name(std::string_view) const override { return std::nullopt; }
  /// The channel of a connected stream socket that is not blocking.
  virtual std::unique_ptr<StreamChannel> make_stream(Fd socket, AddressFamily family);

  // --- For the sources
  /// epoll_ctl(); but nothing in a forked copy of the process, whose set is the parent's too. [O6]
  std::error_code control(int operation, int descriptor, std::uint32_t events,
                          std::uint64_t name) noexcept;
  void deliver_next_turn(Source& source) noexcept {
    if (!source.linked()) next_.push_back(source);
  }
  /// Counts the calls of wait(): what a verb causes is told after the next one.
  std::uint32_t turn() const noexcept { return turn_; }
  /// False once an event that `source` delivered has destroyed it.
  bool is_delivering(const Source& source) const noexcept { return delivering_ == &source; }
  void source_gone(const Source& source) noexcept {
    if (delivering_ == &source) delivering_ = nullptr;
  }
  /// A name for a source whose descriptor the user may close behind its back: the kernel may use the
  /// name after the source is gone, if the user kept a duplicate. Odd, as no address is. [L31]
  std::uint64_t make_name(Source& source);
  void release_name(std::uint64_t name) noexcept;
  void register_source(Source& source);
  void unregister_source(Source& source) noexcept;
  std::span<std::byte> receive_buffer() noexcept { return receive_buffer_->bytes; }
  DatagramBuffer& datagram_buffer(AddressFamily family);

  /// What wait() waits on.
  virtual int kernel_descriptor() const noexcept { return epoll_.get(); }

 protected:
  int epoll_descriptor() const noexcept { return epoll_.get(); }
  /// Readable once somebody called wake(), for ever: who watches it is told each time.
  int wake_descriptor() const noexcept { return wake_up_.get(); }
  /// False in a forked copy of the process.
  bool is_own_process() const noexcept { return process_.is_here(); }
  /// How long it is until `deadline`; never negative.
  std::chrono::nanoseconds time_until(TimePoint deadline) const noexcept {
    const TimePoint start = now();
    return deadline > start ? deadline - start : std::chrono::nanoseconds::zero();
  }
  /// Begins another turn: what was left for it is ready.
  void begin_turn() noexcept {
    ++turn_;
    ready_.splice_back(next_);
  }
  void make_ready(Source& source) noexcept {
    if (!source.linked()) ready_.push_back(source);
  }
  /// Makes ready what the kernel gave with the last epoll_wait().
  void collect(int count) noexcept;
  /// Asks the kernel what is ready, without waiting.
  void collect_events() noexcept;

 private:
  int wait_for_events(std::optional<TimePoint> deadline) noexcept;
  Source* named_by(std::uint64_t name) const noexcept;

  Fd epoll_;
  Fd wake_up_;
  const ProcessMark process_;  ///< whose set it is
  std::array<epoll_event, 256> kernel_events_{};
  IntrusiveList<Source, ReadyTag> ready_;  ///< what wait() collected
  IntrusiveList<Source, ReadyTag> next_;   ///< what the next wait() collects without the kernel
  std::vector<Source*> registrations_;     ///< by descriptor
  std::unordered_map<std::uint64_t, Source*> names_;
  std::uint64_t last_name_ = 1;
  std::unique_ptr<ReceiveBuffer> receive_buffer_ = std::make_unique_for_overwrite<ReceiveBuffer>();
  std::unique_ptr<DatagramBuffer> internet_datagrams_;  ///< null until the first, as is the next
  std::unique_ptr<DatagramBuffer> unix_datagrams_;
  const Source* delivering_ = nullptr;
  std::uint32_t turn_ = 0;
  bool interrupted_ = false;
};

inline void Source::deliver_next_turn() noexcept { backend_.deliver_next_turn(*this); }

}  // namespace weir::inline v0::detail
