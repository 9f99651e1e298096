// The backend over Linux's epoll.
//
// Channels are registered edge-triggered, once, when they start to receive; after that nothing but
// receiving and sending costs a system call. The kernel tells only changes, so each channel remembers what
// it was told: `readable_` stays until a receive comes back short, and pausing is not asking. A channel
// that has something left to do without a new edge stands in the list `next_`, and is dispatched in
// the next turn. Listening sockets and the user's own descriptors are level-triggered.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <limits>
#include <unordered_map>
#include <utility>

#include "backend.h"
#include "fd.h"
#include "intrusive_list.h"
#include "sockaddr.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

struct ReadyTag;
class EpollBackend;

constexpr std::uint32_t stream_input = EPOLLIN | EPOLLPRI | EPOLLRDHUP;
constexpr std::uint32_t input_events = stream_input | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t output_events = EPOLLOUT | EPOLLHUP | EPOLLERR;
/// After these a short receive proves nothing: it stops at an urgent mark, and no edge follows a hang-up.
constexpr std::uint32_t drain_events = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/// At the start of a page: the kernel's copies are faster to an aligned address.
struct alignas(4096) ReceiveBuffer {
  std::array<std::byte, receive_buffer_size> bytes;
};

/// sendmsg() of `pieces`, its result unchanged.
ssize_t send_gathered(int socket, std::span<const ConstBytes> pieces) noexcept {
  std::array<iovec, max_send_pieces> vectors;  // NOLINT(*-member-init): filled as far as it is used
  std::transform(pieces.begin(), pieces.end(), vectors.begin(), [](ConstBytes piece) {
    // The call wants it so, for the sake of receiving; it sends without writing.
    auto* data = const_cast<std::byte*>(piece.data());  // NOLINT(*-const-cast)
    return iovec{data, piece.size()};
  });
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = pieces.size();
  return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

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

class EpollBackend final : public Backend {
 public:
  explicit EpollBackend(Fd epoll, Fd wake_up) noexcept
      : epoll_(std::move(epoll)), wake_up_(std::move(wake_up)) {}

  TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  void wait(std::optional<TimePoint> deadline) noexcept override;
  std::size_t dispatch() noexcept override;
  void interrupt_dispatch() noexcept override { interrupted_ = true; }
  void wake() noexcept override;
  int poll_descriptor() const noexcept override { return epoll_.get(); }
  bool has_pending_events() const noexcept override { return !next_.empty() || !ready_.empty(); }

  std::unique_ptr<DescriptorWatch> watch(int descriptor, WatchEvents& events) override;
  bool owns(int descriptor) const noexcept override;
  Result<std::unique_ptr<ListenChannel>> bind(const Address& address,
                                              const ListenOptions& options) override;
  Result<std::unique_ptr<ListenChannel>> adopt_listener(int descriptor) override;
  Result<std::unique_ptr<StreamChannel>> adopt_stream(int descriptor) override;
  Result<std::unique_ptr<StreamChannel>> adopt_pipe(int, PipeEnd) override {
    return std::make_error_code(std::errc::operation_not_supported);
  }
  DatagramOpened open_datagram(const DatagramPlan&) override {
    return {nullptr, ConnectStep::socket, std::make_error_code(std::errc::operation_not_supported)};
  }
  Result<std::unique_ptr<DatagramChannel>> adopt_datagram(int) override {
    return std::make_error_code(std::errc::operation_not_supported);
  }
  Address peer_address(int descriptor) const override { return peer_address_of(descriptor); }
  ConnectStart connect(const Address& remote, const Address& local, ConnectEvents& events) override;
  std::optional<std::vector<Address>> known_addresses(std::string_view) const override {
    return std::nullopt;
  }

  // --- For the sources
  int epoll() const noexcept { return epoll_.get(); }
  void deliver_next_turn(Source& source) noexcept {
    if (!source.linked()) next_.push_back(source);
  }
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

 private:
  int wait_for_events(std::optional<TimePoint> deadline) noexcept;
  Source* named_by(std::uint64_t name) const noexcept;

  Fd epoll_;
  Fd wake_up_;
  std::array<epoll_event, 256> kernel_events_{};
  IntrusiveList<Source, ReadyTag> ready_;  ///< what wait() collected
  IntrusiveList<Source, ReadyTag> next_;   ///< what the next wait() collects without the kernel
  std::vector<Source*> registrations_;     ///< by descriptor
  std::unordered_map<std::uint64_t, Source*> names_;
  std::uint64_t last_name_ = 1;
  std::unique_ptr<ReceiveBuffer> receive_buffer_ = std::make_unique_for_overwrite<ReceiveBuffer>();
  const Source* delivering_ = nullptr;
  bool interrupted_ = false;
};

std::error_code Source::control(int operation, std::uint32_t events) noexcept {
  epoll_event event{.events = events, .data = {.u64 = name()}};
  if (::epoll_ctl(backend_.epoll(), operation, descriptor_, &event) == 0) return {};
  return last_system_error();
}

Source::~Source() { backend_.source_gone(*this); }

void Source::deliver_next_turn() noexcept { backend_.deliver_next_turn(*this); }

// --- Streams ----------------------------------------------------------------------------------------

class EpollStreamChannel final : public StreamChannel, private Source {
 public:
  /// How far one receive gets: a TCP stream gives all it has, a Unix one stops at passed descriptors.
  enum class Receives : bool { all, some };

  EpollStreamChannel(EpollBackend& backend, Fd socket, Receives receives = Receives::all)
      : Source(backend, socket.get(), Owner::backend),
        socket_(std::move(socket)),
        drain_(receives == Receives::some) {
    backend_.register_source(*this);
  }
  ~EpollStreamChannel() override { release(); }

  void attach(StreamEvents& events) noexcept override { events_up_ = &events; }

  void start_receiving() noexcept override {
    receiving_ = true;
    if (interest_ == 0) want(stream_input);
    if (readable_ || failure_ != 0) deliver_next_turn();
  }

  void stop_receiving() noexcept override { receiving_ = false; }

  SendResult try_send(std::span<const ConstBytes> pieces) noexcept override;

  void start_sending() noexcept override {
    sending_ = true;
    if ((interest_ & EPOLLOUT) == 0) want(stream_input | EPOLLOUT);
    if (writable_ || failure_ != 0) deliver_next_turn();
  }

  void shutdown_send() noexcept override {
    // A connection that broke meanwhile says so itself.
    static_cast<void>(::shutdown(descriptor_, SHUT_WR));
  }

  void close() noexcept override {
    closed_ = true;
    release();
    deliver_next_turn();
  }

  Address local_address() const override { return local_address_of(descriptor_); }
  int descriptor() const noexcept override { return descriptor_; }

 private:
  std::size_t deliver() noexcept override;
  void receive() noexcept;
  void send_queue() noexcept;
  SendResult send_pieces(std::span<const ConstBytes> pieces) noexcept;
  void fail(std::error_code error) noexcept;
  void want(std::uint32_t events) noexcept;
  void release() noexcept;

  Fd socket_;
  StreamEvents* events_up_ = nullptr;
  std::uint32_t interest_ = 0;  ///< what the kernel was asked for
  int failure_ = 0;             ///< errno of the registration, told by deliver()
  bool receiving_ = false;      ///< asked to
  bool sending_ = false;        ///< asked to
  bool readable_ = false;       ///< a receive may bring something
  bool writable_ = false;       ///< a send may take something
  bool drain_;                  ///< only would-block tells that nothing is left to receive
  bool closed_ = false;
};

void EpollStreamChannel::want(std::uint32_t events) noexcept {
  const int operation = interest_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (const std::error_code error = control(operation, events | EPOLLET)) {
    failure_ = error.value();
    return;
  }
  interest_ = events;
}

void EpollStreamChannel::release() noexcept {
  if (!socket_) return;
  receiving_ = sending_ = false;
  unlink();
  // Closing alone would leave the registration to whoever holds a duplicate of the descriptor.
  if (interest_ != 0) static_cast<void>(control(EPOLL_CTL_DEL, 0));
  backend_.unregister_source(*this);
  socket_.reset();
  descriptor_ = -1;
}

std::size_t EpollStreamChannel::deliver() noexcept {
  if (closed_) {
    events_up_->on_closed();
    return 1;
  }
  const std::uint32_t events = take_events();
  if ((events & input_events) != 0) readable_ = true;
  if ((events & output_events) != 0) writable_ = true;
  if ((events & drain_events) != 0) drain_ = true;
  if (failure_ != 0 && (receiving_ || sending_)) {
    fail({failure_, std::system_category()});
    return 1;
  }
  std::size_t delivered = 0;
  if (receiving_ && readable_) {
    receive();
    ++delivered;
  }
  if (sending_ && writable_) {
    send_queue();
    ++delivered;
  }
  return delivered;
}

void EpollStreamChannel::receive() noexcept {
  const auto wanted = events_up_->receive_buffer();
  if (!wanted) {
    if (receiving_) deliver_next_turn();
    return;
  }
  const std::span<std::byte> buffer = wanted->empty() ? backend_.receive_buffer() : *wanted;
  const ssize_t count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (count > 0) {
    const auto received = buffer.first(static_cast<std::size_t>(count));
    // A short receive emptied the socket: the next byte comes with an edge.
    if (received.size() < buffer.size() && !drain_) readable_ = false;
    events_up_->on_received(received);
#ifndef NDEBUG
    // A span kept past its callback must not look right by accident. [C5]
    if (wanted->empty()) std::memset(received.data(), 0xDD, received.size());
#endif
    if (receiving_ && readable_) deliver_next_turn();
  } else if (count == 0) {
    receiving_ = readable_ = false;
    events_up_->on_eof();
  } else if (errno == EAGAIN) {
    readable_ = false;
  } else if (errno == EINTR) {
    deliver_next_turn();
  } else {
    fail(last_system_error());
  }
}

SendResult EpollStreamChannel::send_pieces(std::span<const ConstBytes> pieces) noexcept {
  ssize_t count = 0;
  do {
    count = pieces.size() == 1
                ? ::send(descriptor_, pieces.front().data(), pieces.front().size(), MSG_NOSIGNAL)
                : send_gathered(descriptor_, pieces);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return {.sent = static_cast<std::size_t>(count)};
  if (errno == EAGAIN) return {};
  return {.error = last_system_error()};
}

SendResult EpollStreamChannel::try_send(std::span<const ConstBytes> pieces) noexcept {
  const SendResult result = send_pieces(pieces);
  // Whether it was short is the caller's to find out: it then starts sending, which asks for an edge.
  writable_ = false;
  return result;
}

void EpollStreamChannel::send_queue() noexcept {
  std::array<ConstBytes, max_send_pieces> pieces;
  const std::size_t count = events_up_->unsent(pieces);
  if (count == 0) {
    sending_ = false;
    return;
  }
  const auto wanted = std::span(pieces).first(count);
  std::size_t size = 0;
  for (const ConstBytes& piece : wanted) size += piece.size();
  const SendResult result = send_pieces(wanted);
  if (result.error) {
    fail(result.error);
    return;
  }
  if (result.sent < size) writable_ = false;
  if (result.sent > 0) events_up_->on_sent(result.sent);
  if (!sending_) return;
  if (events_up_->unsent(std::span(pieces).first(1)) == 0) {
    sending_ = false;
  } else if (writable_) {
    deliver_next_turn();
  }
}

void EpollStreamChannel::fail(std::error_code error) noexcept {
  receiving_ = sending_ = false;
  events_up_->on_failed(error);
}

// --- Listening --------------------------------------------------------------------------------------

class EpollListenChannel final : public ListenChannel, private Source {
 public:
  EpollListenChannel(EpollBackend& backend, Fd socket)
      : Source(backend, socket.get(), Owner::backend), socket_(std::move(socket)) {
    // Inherited by the accepted sockets: no call for each of them. [S30]
    set_no_delay(descriptor_);
    backend_.register_source(*this);
  }
  ~EpollListenChannel() override {
    if (registered_) static_cast<void>(control(EPOLL_CTL_DEL, 0));
    backend_.unregister_source(*this);
  }

  std::error_code start_accepting(ListenEvents& events, int backlog) noexcept override {
    if (::listen(descriptor_, backlog) != 0) return last_system_error();
    events_up_ = &events;
    backlog_ = backlog;
    if (const std::error_code error =
            control(registered_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, EPOLLIN)) {
      return error;
    }
    registered_ = true;
    return {};
  }

  void stop_accepting() noexcept override {
    events_up_ = nullptr;
    unlink();
    if (std::exchange(registered_, false)) static_cast<void>(control(EPOLL_CTL_DEL, 0));
  }

  Address local_address() const override { return local_address_of(descriptor_); }
  int descriptor() const noexcept override { return descriptor_; }

 private:
  std::size_t deliver() noexcept override;

  Fd socket_;
  ListenEvents* events_up_ = nullptr;
  int backlog_ = 0;
  bool registered_ = false;
};

std::size_t EpollListenChannel::deliver() noexcept {
  static_cast<void>(take_events());
  EpollBackend& backend = backend_;
  std::size_t delivered = 0;
  for (int round = 0; backend.is_delivering(*this) && events_up_ != nullptr && round <= backlog_;
       ++round) {
    sockaddr_storage storage;  // NOLINT(*-member-init): accept4 fills it
    socklen_t length = sizeof storage;
    auto* peer = reinterpret_cast<sockaddr*>(&storage);
    Fd socket(::accept4(descriptor_, peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      ++delivered;
      events_up_->on_accepted(std::make_unique<EpollStreamChannel>(backend_, std::move(socket)),
                              address_from(*peer, length));
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      ++delivered;
      events_up_->on_accept_failed(last_system_error());
      break;
    }
  }
  return delivered;
}

// --- Connecting -------------------------------------------------------------------------------------

class EpollConnectAttempt final : public ConnectAttempt, private Source {
 public:
  EpollConnectAttempt(EpollBackend& backend, Fd socket, ConnectEvents& events)
      : Source(backend, socket.get(), Owner::backend),
        socket_(std::move(socket)),
        events_up_(events) {
    backend_.register_source(*this);
    failure_ = control(EPOLL_CTL_ADD, EPOLLOUT);
    if (failure_) deliver_next_turn();
  }
  ~EpollConnectAttempt() override { release(); }

 private:
  std::size_t deliver() noexcept override;
  void release() noexcept {
    if (!socket_) return;
    unlink();
    if (!failure_) static_cast<void>(control(EPOLL_CTL_DEL, 0));
    backend_.unregister_source(*this);
  }

  Fd socket_;
  ConnectEvents& events_up_;
  std::error_code failure_;
};

std::size_t EpollConnectAttempt::deliver() noexcept {
  const std::error_code error = failure_ ? failure_ : pending_socket_error(descriptor_);
  release();
  EpollBackend& backend = backend_;
  if (error) {
    socket_.reset();
    events_up_.on_connect_failed(error);
    return 1;
  }
  set_no_delay(descriptor_);
  events_up_.on_connected(std::make_unique<EpollStreamChannel>(backend, std::move(socket_)));
  return 1;
}

// --- The user's descriptors -------------------------------------------------------------------------

class EpollWatch final : public DescriptorWatch, private Source {
 public:
  EpollWatch(EpollBackend& backend, int descriptor, WatchEvents& events)
      : Source(backend, descriptor, Owner::user),
        events_up_(events),
        name_(backend.make_name(*this)) {}
  ~EpollWatch() override {
    stop();
    backend_.release_name(name_);
  }

  std::error_code want(bool readable, bool writable) noexcept override;

 private:
  std::size_t deliver() noexcept override;
  std::uint64_t name() const noexcept override { return name_; }
  void descriptor_reused() noexcept override {
    // A transport may have taken over the very socket that is watched; else there is nothing to end.
    static_cast<void>(control(EPOLL_CTL_DEL, 0));
    registered_ = false;
    unlink();
  }
  void stop() noexcept {
    unlink();
    if (!std::exchange(registered_, false)) return;
    // It fails if the user closed the descriptor first. If that left a duplicate open, the kernel goes on
    // telling of it under a name that nobody has.
    static_cast<void>(control(EPOLL_CTL_DEL, 0));
    backend_.unregister_source(*this);
  }

  WatchEvents& events_up_;
  std::uint64_t name_;
  bool registered_ = false;
  bool readable_ = false;  ///< wanted
  bool writable_ = false;  ///< wanted
};

std::error_code EpollWatch::want(bool readable, bool writable) noexcept {
  readable_ = readable;
  writable_ = writable;
  // What was collected for an earlier callback is not for a new one; the kernel tells it again. [L27]
  static_cast<void>(take_events());
  unlink();
  if (!readable && !writable) {
    stop();
    return {};
  }
  const std::uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
  std::error_code error;
  if (registered_) error = control(EPOLL_CTL_MOD, events);
  // The user may have closed the descriptor and opened another of that number. [L31]
  if (!registered_ || error == std::errc::no_such_file_or_directory) {
    error = control(EPOLL_CTL_ADD, events);
  }
  if (error) return error;
  if (!std::exchange(registered_, true)) {
    backend_.register_source(*this);
  }
  return {};
}

std::size_t EpollWatch::deliver() noexcept {
  const std::uint32_t events = take_events();
  EpollBackend& backend = backend_;
  std::size_t delivered = 0;
  if (readable_ && (events & input_events) != 0) {
    ++delivered;
    events_up_.on_readable();
  }
  if (backend.is_delivering(*this) && writable_ && (events & output_events) != 0) {
    ++delivered;
    events_up_.on_writable();
  }
  return delivered;
}

// --- The backend ------------------------------------------------------------------------------------

void EpollBackend::register_source(Source& source) {
  const auto index = static_cast<std::size_t>(source.descriptor());
  if (index >= registrations_.size()) {
    registrations_.resize(std::max(index + 1, 2 * registrations_.size()));
  }
  if (Source* stale = registrations_[index]) stale->descriptor_reused();
  registrations_[index] = &source;
}

void EpollBackend::unregister_source(Source& source) noexcept {
  const auto index = static_cast<std::size_t>(source.descriptor());
  if (index < registrations_.size() && registrations_[index] == &source) {
    registrations_[index] = nullptr;
  }
}

std::uint64_t EpollBackend::make_name(Source& source) {
  last_name_ += 2;
  names_.emplace(last_name_, &source);
  return last_name_;
}

void EpollBackend::release_name(std::uint64_t name) noexcept { names_.erase(name); }

Source* EpollBackend::named_by(std::uint64_t name) const noexcept {
  if (name % 2 == 0) {
    return reinterpret_cast<Source*>(  // NOLINT(performance-no-int-to-ptr): as name() made it
        static_cast<std::uintptr_t>(name));
  }
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

bool EpollBackend::owns(int descriptor) const noexcept {
  const auto index = static_cast<std::size_t>(descriptor);
  return descriptor >= 0 && index < registrations_.size() && registrations_[index] != nullptr &&
         registrations_[index]->owner() == Source::Owner::backend;
}

int EpollBackend::wait_for_events(std::optional<TimePoint> deadline) noexcept {
  using std::chrono::nanoseconds;
  auto* events = kernel_events_.data();
  const int capacity = static_cast<int>(kernel_events_.size());
  if (has_pending_events() || deadline == TimePoint::min()) {
    return ::epoll_wait(epoll_.get(), events, capacity, 0);
  }
  if (!deadline) return ::epoll_wait(epoll_.get(), events, capacity, -1);
  const TimePoint start = now();
  const nanoseconds left = *deadline > start ? *deadline - start : nanoseconds::zero();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec timeout{.tv_sec = seconds.count(),
                         .tv_nsec = static_cast<long>((left - seconds).count())};
  const int count = ::epoll_pwait2(epoll_.get(), events, capacity, &timeout, nullptr);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  // Before Linux 5.11, or in a container that filters newer calls: whole milliseconds, rounded up so that no timer is early. [L14]
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  constexpr decltype(milliseconds) longest = std::numeric_limits<int>::max();
  return ::epoll_wait(epoll_.get(), events, capacity,
                      static_cast<int>(std::min(milliseconds, longest)));
}

void EpollBackend::wait(std::optional<TimePoint> deadline) noexcept {
  // An interrupted wait collected nothing, which is no error: the caller looks at the time itself.
  const int count = wait_for_events(deadline);
  ready_.splice_back(next_);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = kernel_events_[static_cast<std::size_t>(i)];
    Source* source = named_by(event.data.u64);
    if (source == nullptr) continue;  // the wake-up: edge-triggered, so never read
    source->add_events(event.events);
    if (!source->linked()) ready_.push_back(*source);
  }
}

std::size_t EpollBackend::dispatch() noexcept {
  interrupted_ = false;
  std::size_t delivered = 0;
  while (!ready_.empty() && !interrupted_) {
    Source& source = ready_.pop_front();
    delivering_ = &source;
    delivered += source.deliver();
  }
  delivering_ = nullptr;
  return delivered;
}

void EpollBackend::wake() noexcept {
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then the loop has been woken already.
  static_cast<void>(::write(wake_up_.get(), &one, sizeof one));
}

std::unique_ptr<DescriptorWatch> EpollBackend::watch(int descriptor, WatchEvents& events) {
  return std::make_unique<EpollWatch>(*this, descriptor, events);
}

Result<std::unique_ptr<ListenChannel>> EpollBackend::bind(const Address& address,
                                                          const ListenOptions& options) {
  Result<Fd> socket = open_bound_socket(address, options);
  if (!socket) return socket.error();
  return std::unique_ptr<ListenChannel>(
      std::make_unique<EpollListenChannel>(*this, std::move(socket.value())));
}

Result<std::unique_ptr<ListenChannel>> EpollBackend::adopt_listener(int descriptor) {
  if (owns(descriptor)) return std::make_error_code(std::errc::device_or_resource_busy);
  if (const std::error_code error = prepare_adopted_socket(descriptor)) return error;
  return std::unique_ptr<ListenChannel>(
      std::make_unique<EpollListenChannel>(*this, Fd(descriptor)));
}

Result<std::unique_ptr<StreamChannel>> EpollBackend::adopt_stream(int descriptor) {
  if (owns(descriptor)) return std::make_error_code(std::errc::device_or_resource_busy);
  if (const std::error_code error = prepare_adopted_socket(descriptor)) return error;
  set_no_delay(descriptor);
  using Receives = EpollStreamChannel::Receives;
  const auto receives = is_internet_socket(descriptor) ? Receives::all : Receives::some;
  return std::unique_ptr<StreamChannel>(
      std::make_unique<EpollStreamChannel>(*this, Fd(descriptor), receives));
}

ConnectStart EpollBackend::connect(const Address& remote, const Address& local,
                                   ConnectEvents& events) {
  Result<Fd> socket = open_stream_socket(remote);
  if (!socket) return {nullptr, ConnectStep::socket, socket.error()};
  const int number = socket.value().get();
  if (!local.empty()) {
    if (const std::error_code error = bind_socket(number, local)) {
      return {nullptr, ConnectStep::bind, error};
    }
  }
  if (const std::error_code error = connect_socket(number, remote)) {
    return {nullptr, ConnectStep::connect, error};
  }
  return {std::make_unique<EpollConnectAttempt>(*this, std::move(socket.value()), events)};
}

}  // namespace

std::unique_ptr<Backend> make_epoll_backend() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) throw std::system_error(last_system_error(), "epoll_create1");
  Fd wake_up(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_up) throw std::system_error(last_system_error(), "eventfd");
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_up.get(), &event) != 0) {
    throw std::system_error(last_system_error(), "epoll_ctl");
  }
  return std::make_unique<EpollBackend>(std::move(epoll), std::move(wake_up));
}

}  // namespace weir::inline v0::detail
