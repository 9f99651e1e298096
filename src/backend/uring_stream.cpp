#include "uring_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "epoll_stream.h"
#include "epoll_unix_stream.h"
#include "uring_backend.h"
#include "uring_receiver.h"

namespace weir::inline v0::detail {
namespace {

/// Up to so many bytes are sent together with what others send. More is sent at once: a copy of it, and that it
/// waits, cost more than a system call.
constexpr std::size_t most_sent_together = std::size_t{4} * 1024;
/// Who receives more than that at once is better served by epoll and the shared buffer, which stays in the cache.
constexpr std::size_t most_by_ring = std::size_t{4} * 1024;
/// After so many receives in a row that were smaller than half of it, by the ring again.
constexpr std::uint8_t small_ones_of_a_change = 32;

/// A stream that receives by the ring while what arrives is small, and sends together with others what is small.
/// Else it is what `Base` is, over epoll.
template <class Base>
class UringStream final : public Base, private UringReceiver, private UringSender {
 public:
  UringStream(UringBackend& backend, Fd socket, EpollStreamChannel::Receives receives)
      : Base(backend, std::move(socket), receives), UringReceiver(backend), uring_(backend) {}

  void stop_receiving() noexcept override {
    Base::stop_receiving();
    leave_ring();
    keep();
  }
  bool sends_together(std::size_t size) noexcept override {
    together_next_ =
        size <= most_sent_together && uring_.sends_together() && this->sends_bytes_only();
    return together_next_;
  }
  bool waits_for_others() const noexcept override { return UringSender::linked(); }
  void start_sending() noexcept override {
    if (!std::exchange(together_next_, false)) return Base::start_sending();
    this->sending_ = true;
    if (!UringSender::linked()) uring_.send_together(*this);
  }
  void close() noexcept override {
    abandon();
    UringSender::unlink();
    Base::close();
  }

 private:
  void watch_input() noexcept override;
  std::size_t deliver() noexcept override;
  void receive() noexcept override;
  ssize_t receive_some(std::span<std::byte> buffer) noexcept override;
  void receive_held() noexcept;
  void must_receive_itself() noexcept override {
    stays_out_ = true;
    leave_ring();
    if (is_active()) uring_.submit_all();
  }
  void leave_ring() noexcept {
    by_ring_ = false;
    small_ones_ = 0;
    cancel();
  }
  bool holds_something() const noexcept { return has_bytes() || has_ended(); }

  void something_came() noexcept override { uring_.make_ready(*this); }
  bool wants_bytes() const noexcept override { return this->receiving_; }

  std::size_t pieces_to_send(std::span<ConstBytes> pieces) noexcept override;
  int sending_descriptor() const noexcept override { return this->descriptor_; }
  bool awaits_sent() const noexcept override { return this->events_up().awaits_sent(); }
  void sent_together(std::size_t size, int result) noexcept override {
    sent_ = Sent{size, result};
    uring_.make_ready(*this);
  }
  void tell_sent(std::size_t size, int result) noexcept;

  struct Sent {
    std::size_t size;
    int result;
  };

  UringBackend& uring_;
  std::optional<Sent> sent_;     ///< what sent_together() told, for deliver()
  bool by_ring_ = true;          ///< receives by it, if that can be had
  bool stays_out_ = false;       ///< of the ring, for ever
  bool together_next_ = false;   ///< the next start_sending() is for that
  std::uint8_t small_ones_ = 0;  ///< received in a row, not by the ring
};

template <class Base>
std::size_t UringStream<Base>::deliver() noexcept {
  std::size_t delivered = 0;
  if (const auto sent = std::exchange(sent_, {}); sent && this->sending_) {
    tell_sent(sent->size, sent->result);
    ++delivered;
    if (this->descriptor_ < 0) return delivered;  // closed: tells that in the next turn
  }
  if (this->receiving_) watch_input();
  return delivered + Base::deliver();
}

// --- Receiving --------------------------------------------------------------------------------------

/// Called again whenever there may be something to do about it.
template <class Base>
void UringStream<Base>::watch_input() noexcept {
  if (holds_something()) {
    this->readable_ = true;
    return;
  }
  if (is_active()) return;  // what is next comes with its last completion
  const int reason = take_reason();
  if (reason == EINVAL || reason == EOPNOTSUPP) stays_out_ = true;
  if (reason == ENOBUFS || stays_out_) by_ring_ = false;
  if (by_ring_ && !this->events_up().has_own_buffer() && start(this->descriptor_)) {
    this->readable_ = false;
    this->ignore_input();
    return;
  }
  by_ring_ = false;
  Base::watch_input();
}

template <class Base>
void UringStream<Base>::receive() noexcept {
  if (holds_something()) return receive_held();
  if (is_active()) {  // an event of the socket, about what the ring receives
    this->readable_ = false;
    return;
  }
  Base::receive();
  if (small_ones_ < small_ones_of_a_change || stays_out_ || !this->receiving_) return;
  small_ones_ = 0;
  by_ring_ = true;
  watch_input();
}

template <class Base>
ssize_t UringStream<Base>::receive_some(std::span<std::byte> buffer) noexcept {
  const ssize_t size = Base::receive_some(buffer);
  const bool small = size > 0 && static_cast<std::size_t>(size) <= most_by_ring / 2;
  small_ones_ = small ? static_cast<std::uint8_t>(std::min(small_ones_ + 1, 255)) : 0;
  return size;
}

template <class Base>
void UringStream<Base>::receive_held() noexcept {
  StreamEvents& events = this->events_up();
  if (!has_bytes()) {
    if (end() != 0) return this->fail({end(), std::system_category()});
    this->receiving_ = this->readable_ = false;
    return events.on_eof();
  }
  const auto wanted = events.receive_buffer();
  if (!wanted) {
    if (this->receiving_) this->deliver_next_turn();
    return;
  }
  Arrival arrival = take_first();  // a close() in there must not take it away
  std::span<std::byte> bytes =
      arrival.bytes.first(std::min(arrival.bytes.size(), receive_buffer_size));
  if (bytes.size() > most_by_ring || !wanted->empty()) leave_ring();
  if (wanted->empty()) {
    events.on_received(bytes);
#ifndef NDEBUG
    std::memset(bytes.data(), 0xDD, bytes.size());  // [C5]
#endif
  } else {
    bytes = bytes.first(std::min(bytes.size(), wanted->size()));
    std::memcpy(wanted->data(), bytes.data(), bytes.size());
    events.on_received(wanted->first(bytes.size()));
  }
  arrival.bytes = arrival.bytes.subspan(bytes.size());
  if (arrival.bytes.empty() || this->descriptor_ < 0) {
    release(arrival);
  } else {
    put_back(std::move(arrival));
    if (!this->receiving_) keep();
  }
  if (!this->receiving_) return;
  if (holds_something()) return this->deliver_next_turn();
  this->readable_ = false;
  watch_input();
}

// --- Sending ----------------------------------------------------------------------------------------

template <class Base>
std::size_t UringStream<Base>::pieces_to_send(std::span<ConstBytes> pieces) noexcept {
  if (!this->sending_) return 0;
  const std::size_t count = this->events_up().unsent(pieces);
  if (count == 0) {
    this->sending_ = false;
  } else if (!this->sends_bytes_only()) {
    this->writable_ = true;  // by deliver(), then
    uring_.make_ready(*this);
    return 0;
  }
  return count;
}

template <class Base>
void UringStream<Base>::tell_sent(std::size_t size, int result) noexcept {
  const bool would_block = result == -EAGAIN || result == -EINTR;
  if (result < 0 && !would_block) return this->fail({-result, std::system_category()});
  if (result > 0) this->events_up().on_sent(static_cast<std::size_t>(result));
  if (!this->sending_ || UringSender::linked()) return;
  // More was written meanwhile, or there is no room, and who waits for that is on its own.
  if (!would_block && static_cast<std::size_t>(result) == size) return uring_.send_together(*this);
  this->writable_ = false;
  Base::start_sending();
}

}  // namespace

std::unique_ptr<StreamChannel> make_uring_stream(UringBackend& backend, Fd socket,
                                                 AddressFamily family) {
  using Receives = EpollStreamChannel::Receives;
  if (family == AddressFamily::unix_socket) {
    return std::make_unique<UringStream<EpollUnixChannel>>(backend, std::move(socket),
                                                           Receives::all);
  }
  const auto receives = family == AddressFamily::unspecified ? Receives::some : Receives::all;
  return std::make_unique<UringStream<EpollStreamChannel>>(backend, std::move(socket), receives);
}

}  // namespace weir::inline v0::detail
