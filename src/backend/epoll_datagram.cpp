#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "datagram_buffer.h"
#include "datagram_sender.h"
#include "epoll_channel.h"
#include "held_datagrams.h"
#include "multicast_calls.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

/// After so many full batches in a row from one sender the kernel is asked to merge what it sends.
constexpr std::uint8_t full_batches_of_a_burst = 4;

class EpollDatagramChannel final : public DatagramChannel, private EpollChannel {
 public:
  /// Merging changes what others receive who share the socket: only for one of our own.
  enum class MayMerge : bool { no, yes };

  EpollDatagramChannel(EpollBackend& backend, Fd socket, AddressFamily family, MayMerge may_merge)
      : EpollChannel(backend, std::move(socket)),
        sender_(family),
        family_(family),
        may_merge_(may_merge == MayMerge::yes && family != AddressFamily::unix_socket) {}
  ~EpollDatagramChannel() override { forget_room(); }

  void attach(DatagramEvents& events) noexcept override { events_up_ = &events; }
  void start_receiving() noexcept override { begin_receiving(); }
  void stop_receiving() noexcept override { receiving_ = false; }
  DatagramSendResult try_send(std::span<const OutgoingDatagram> datagrams) noexcept override;
  void start_sending() noexcept override;
  void close() noexcept override {
    forget_room();
    end();
  }

  Address local_address() const override { return local_address_of(descriptor_); }
  std::optional<Address> peer_address() const override { return connected_peer_of(descriptor_); }
  int descriptor() const noexcept override { return descriptor_; }

  std::error_code set_membership(const Address& group, const Address& interface,
                                 bool member) noexcept override {
    return set_group_membership(descriptor_, group, interface, member);
  }
  std::error_code set_hops(Hops kind, int count) noexcept override {
    return set_hop_limit(descriptor_, kind, count);
  }
  std::error_code set_multicast_loop(bool enabled) noexcept override {
    return set_group_loop(descriptor_, enabled);
  }
  std::error_code set_multicast_interface(const Address& interface) noexcept override {
    return set_group_interface(descriptor_, interface);
  }

 private:
  void receive() noexcept override;
  void receive_failed(std::error_code error) noexcept;
  std::size_t give(std::span<const ReceivedDatagram> datagrams) noexcept;
  void adapt(const DatagramBuffer::Batch& batch) noexcept;
  void send_queue() noexcept override;
  void wait_for_room(const Address& destination) noexcept;
  void forget_room() noexcept;
  void tell_failure(std::error_code error) noexcept override {
    events_up_->on_receive_failed(error);
  }
  void tell_closed() noexcept override { events_up_->on_closed(); }
  std::uint32_t input_interest() const noexcept override { return EPOLLIN; }

  DatagramEvents* events_up_ = nullptr;
  std::unique_ptr<HeldDatagrams> held_;  ///< what on_datagrams() did not take
  Fd room_;                              ///< see wait_for_room()
  DatagramSender sender_;
  const AddressFamily family_;
  bool may_merge_;
  Merging merging_ = Merging::off;
  std::uint8_t full_batches_ = 0;          ///< in a row, from one sender
  std::uint8_t messages_ = max_datagrams;  ///< to receive at once
  bool failed_ = false;                    ///< the last receive
};

// --- Receiving --------------------------------------------------------------------------------------

void EpollDatagramChannel::receive() noexcept {
  if (held_ != nullptr) {
    held_->taken(give(held_->rest()));
    if (held_->rest().empty()) held_.reset();
  } else {
    DatagramBuffer& buffer = backend_.datagram_buffer(family_);
    const DatagramBuffer::Batch batch = buffer.receive(descriptor_, messages_, merging_);
    if (batch.error) return receive_failed(batch.error);
    failed_ = false;
    // A batch that is not full emptied the socket: the next datagram, or error, comes with an edge.
    readable_ = batch.full;
    adapt(batch);
    const std::size_t taken = give(batch.datagrams);
    if (taken < batch.datagrams.size() && descriptor_ >= 0) {
      held_ = std::make_unique<HeldDatagrams>(batch.datagrams.subspan(taken));
      readable_ = true;
    }
#ifndef NDEBUG
    DatagramBuffer::scribble(batch.datagrams);
#endif
  }
  if (receiving_ && readable_) deliver_next_turn();
}

std::size_t EpollDatagramChannel::give(std::span<const ReceivedDatagram> datagrams) noexcept {
  return events_up_->on_datagrams(datagrams.first(std::min(datagrams.size(), max_datagrams)));
}

void EpollDatagramChannel::receive_failed(std::error_code error) noexcept {
  if (error == std::errc::interrupted) return deliver_next_turn();
  if (error == std::errc::resource_unavailable_try_again) {
    readable_ = failed_ = false;
    return;
  }
  // Datagrams may wait behind the error, which the receive consumed. A second one in a row is a new one,
  // and then came with an edge, or one that stays.
  failed_ = !failed_;
  readable_ = failed_;
  events_up_->on_receive_failed(error);
  if (receiving_ && readable_) deliver_next_turn();
}

/// Turns merging on when a sender sends bursts; and once it is, asks for about as many messages as make
/// one batch of datagrams.
void EpollDatagramChannel::adapt(const DatagramBuffer::Batch& batch) noexcept {
  if (merging_ == Merging::on) {
    const std::size_t merged = (batch.datagrams.size() - 1) / batch.messages + 1;
    messages_ = static_cast<std::uint8_t>(
        std::clamp<std::size_t>(max_datagrams / merged, 1, std::size_t{2} * messages_));
    return;
  }
  if (!may_merge_) return;
  if (!batch.full || batch.datagrams.front().sender != batch.datagrams.back().sender) {
    full_batches_ = 0;
    return;
  }
  if (++full_batches_ < full_batches_of_a_burst) return;
  may_merge_ = false;
  if (!set_option(descriptor_, IPPROTO_UDP, UDP_GRO, true)) merging_ = Merging::on;
}

// --- Sending ----------------------------------------------------------------------------------------

DatagramSendResult EpollDatagramChannel::try_send(
    std::span<const OutgoingDatagram> datagrams) noexcept {
  const DatagramSendResult result = sender_.send(descriptor_, datagrams);
  // After an error there may be room; after a would-block comes an edge.
  writable_ = static_cast<bool>(result.error);
  return result;
}

void EpollDatagramChannel::start_sending() noexcept {
  // Of a full receiver comes no edge, unless this socket is connected to it: see wait_for_room().
  if (family_ == AddressFamily::unix_socket) writable_ = true;
  begin_sending();
}

void EpollDatagramChannel::send_queue() noexcept {
  forget_room();
  std::array<OutgoingDatagram, max_datagrams> datagrams;
  const std::size_t count = events_up_->unsent(datagrams);
  if (count == 0) {
    sending_ = false;
    return;
  }
  const auto [done, error] = sender_.send(descriptor_, std::span(datagrams).first(count));
  if (done < count && !error) {
    writable_ = false;
    const Address* destination = datagrams[done].destination;
    if (family_ == AddressFamily::unix_socket && destination != nullptr) {
      wait_for_room(*destination);
    }
  }
  if (done > 0) events_up_->on_sent(done, error);
  if (!sending_) return;
  if (events_up_->unsent(std::span(datagrams).first(1)) == 0) {
    sending_ = false;
  } else if (writable_) {
    deliver_next_turn();
  }
}

/// A Unix socket whose receiver is full, and not its peer, stays writable, and each refused send brings an
/// edge of its own. A socket that is connected to the receiver learns when there is room.
void EpollDatagramChannel::wait_for_room(const Address& destination) noexcept {
  pollfd own{.fd = descriptor_, .events = POLLOUT, .revents = 0};
  const bool own_buffer_full = ::poll(&own, 1, 0) == 0;
  want_output(own_buffer_full);
  if (own_buffer_full) return;
  Result<Fd> room = open_socket(AddressFamily::unix_socket, SOCK_DGRAM);
  if (room && !connect_socket(room.value().get(), destination)) {
    if (!backend_.control(EPOLL_CTL_ADD, room.value().get(), EPOLLOUT | EPOLLET, name())) {
      room_ = std::move(room.value());
      return;
    }
  }
  writable_ = true;  // sending again tells what is wrong
}

void EpollDatagramChannel::forget_room() noexcept {
  if (!room_) return;
  static_cast<void>(backend_.control(EPOLL_CTL_DEL, room_.get(), 0, name()));
  room_.reset();
}

std::error_code set_options(int socket, const DatagramPlan& plan) noexcept {
  std::error_code error;
  if (plan.reuse_port) error = set_option(socket, SOL_SOCKET, SO_REUSEPORT, true);
  if (!error && plan.allow_broadcast) error = set_option(socket, SOL_SOCKET, SO_BROADCAST, true);
  return error;
}

AddressFamily family_for(const DatagramPlan& plan) noexcept {
  if (plan.family != AddressFamily::unspecified) return plan.family;
  return plan.local.empty() ? plan.remote.family() : plan.local.family();
}

}  // namespace

// --- Opening ----------------------------------------------------------------------------------------

DatagramBuffer& EpollBackend::datagram_buffer(AddressFamily family) {
  constexpr std::size_t kibibyte = 1024;
  const bool local = family == AddressFamily::unix_socket;
  std::unique_ptr<DatagramBuffer>& buffer = local ? unix_datagrams_ : internet_datagrams_;
  if (buffer == nullptr) {
    // The largest over the internet is 64 KiB; a Unix one has room for 256. [D2]
    buffer = local ? std::make_unique<DatagramBuffer>(256 * kibibyte, max_datagrams / 4)
                   : std::make_unique<DatagramBuffer>(64 * kibibyte, max_datagrams);
  }
  return *buffer;
}

DatagramOpened EpollBackend::open_datagram(const DatagramPlan& plan) {
  const AddressFamily family = family_for(plan);
  Result<Fd> socket = open_socket(family, SOCK_DGRAM);
  if (!socket) return {nullptr, ConnectStep::socket, socket.error()};
  const int number = socket.value().get();
  if (const std::error_code error = set_options(number, plan)) {
    return {nullptr, ConnectStep::option, error};
  }
  if (!plan.local.empty()) {
    if (const std::error_code error = bind_socket(number, plan.local)) {
      return {nullptr, ConnectStep::bind, error};
    }
  }
  // A connected socket would not hear the answers to a broadcast. [D20]
  if (!plan.remote.empty() && !plan.allow_broadcast) {
    if (const std::error_code error = connect_socket(number, plan.remote)) {
      return {nullptr, ConnectStep::connect, error};
    }
  }
  using MayMerge = EpollDatagramChannel::MayMerge;
  return {std::make_unique<EpollDatagramChannel>(*this, std::move(socket.value()), family,
                                                 MayMerge::yes)};
}

Result<std::unique_ptr<DatagramChannel>> EpollBackend::adopt_datagram(int descriptor) {
  if (owns(descriptor)) return std::make_error_code(std::errc::device_or_resource_busy);
  if (const std::error_code error = prepare_adopted_socket(descriptor, SOCK_DGRAM)) return error;
  using MayMerge = EpollDatagramChannel::MayMerge;
  return std::unique_ptr<DatagramChannel>(std::make_unique<EpollDatagramChannel>(
      *this, Fd(descriptor), family_of(descriptor), MayMerge::no));
}

}  // namespace weir::inline v0::detail
