#include "simulated_datagram_socket.h"

#include <algorithm>
#include <utility>

#include "simulated_hash.h"

namespace weir::inline v0::detail::simulated {
namespace {

/// What Linux sends at most: what fits in a packet, or in a Unix socket's buffer.
constexpr std::size_t max_ipv4_size = 65'507;
constexpr std::size_t max_ipv6_size = 65'527;
constexpr std::size_t max_unix_size = 212'960;

/// What a datagram occupies of a buffer besides its bytes.
constexpr std::size_t overhead = 64;

std::size_t cost(const Datagram& datagram) noexcept { return datagram.data.size() + overhead; }

constexpr std::size_t udp_header_size = 28;

/// A datagram on its way.
class DatagramPacket final : public Packet {
 public:
  DatagramPacket(Datagram datagram, Address destination)
      : datagram_(std::move(datagram)), destination_(std::move(destination)) {}

  std::size_t size() const noexcept override { return udp_header_size + datagram_.data.size(); }
  std::unique_ptr<Packet> duplicate() const override {
    return std::make_unique<DatagramPacket>(*this);
  }
  std::uint64_t hash() const noexcept override {
    Hash hash;
    hash.add(std::uint64_t{datagram_.sender.port()} << 16U | destination_.port());
    hash.add(std::span<const std::byte>(datagram_.data));
    return hash.value();
  }
  void arrive(Host& host) noexcept override {
    DatagramSocket::arrive(host, datagram_, destination_);
  }
  void lost(Host&, Host&) noexcept override {}

 private:
  Datagram datagram_;
  Address destination_;
};

/// The word that nobody has a port.
class Refusal final : public Packet {
 public:
  Refusal(Address sender, Address destination)
      : sender_(std::move(sender)), destination_(std::move(destination)) {}

  std::size_t size() const noexcept override { return 2 * udp_header_size; }
  std::unique_ptr<Packet> duplicate() const override { return std::make_unique<Refusal>(*this); }
  std::uint64_t hash() const noexcept override {
    Hash hash;
    hash.add(std::uint64_t{sender_.port()} << 16U | destination_.port());
    return hash.value();
  }
  void arrive(Host& host) noexcept override;
  void lost(Host&, Host&) noexcept override {}

 private:
  Address sender_;
  Address destination_;
};

void Refusal::arrive(Host& host) noexcept {
  const Binding* found =
      host.address_book().find(SocketType::datagram, sender_, [&](const Binding& binding) {
        return binding.reached<DatagramSocket>()->peer_address() == destination_ ? 1 : 0;
      });
  if (found != nullptr) found->reached<DatagramSocket>()->refused();
}

}  // namespace

std::error_code DatagramSocket::bind(const Address& address, bool reuse_port) {
  if (address.family() != family_) return kernel_error(std::errc::address_family_not_supported);
  Result<std::unique_ptr<Binding>> binding =
      host_.address_book().bind(SocketType::datagram, address, {.reuse_port = reuse_port});
  if (!binding) return binding.error();
  binding_ = std::move(binding.value());
  binding_->lead_to(*this);
  return {};
}

std::error_code DatagramSocket::connect(const Address& peer) {
  if (internet()) {
    if (const std::error_code error = check_destination(peer)) return error;
    if (binding_ == nullptr) {
      const std::optional<Address> own = host_.address_towards(peer);
      if (!own) return kernel_error(std::errc::network_unreachable);
      if (const std::error_code error = bind(*own, false)) return error;
    }
  } else {
    Result<std::shared_ptr<DatagramSocket>> receiver = receiver_of(&peer);
    if (!receiver) return receiver.error();
    peer_ = receiver.value();
  }
  peer_address_ = host_.specific(peer, peer);
  return {};
}

void DatagramSocket::close() noexcept {
  user_ = nullptr;
  closed_ = true;
  binding_.reset();
  received_.clear();
  wake_waiting();
}

/// As in Linux, a wildcard becomes the address that reaches the peer.
Address DatagramSocket::local_address() const {
  if (binding_ != nullptr) {
    return peer_address_ ? host_.specific(binding_->address(), *peer_address_)
                         : binding_->address();
  }
  if (!internet()) return Address::unix_socket("");
  return family_ == AddressFamily::ipv4 ? Address::ipv4({}, 0) : Address::ipv6({}, 0);
}

// --- Sending -------------------------------------------------------------------------------------

std::size_t DatagramSocket::max_size() const noexcept {
  if (!internet()) return max_unix_size;
  return family_ == AddressFamily::ipv4 ? max_ipv4_size : max_ipv6_size;
}

std::error_code DatagramSocket::send(ConstBytes data, const Address* destination) {
  if (closed_) return kernel_error(std::errc::bad_file_descriptor);
  if (destination == nullptr && !peer_address_) {
    return kernel_error(std::errc::destination_address_required);
  }
  if (destination != nullptr && destination->family() != family_) {
    return kernel_error(std::errc::address_family_not_supported);
  }
  if (data.size() > max_size()) return kernel_error(std::errc::message_size);
  if (const std::error_code error = take_error()) return error;
  if (!internet()) return send_here(data, destination);
  return send_to_network(data, destination != nullptr ? *destination : *peer_address_);
}

/// Empty if it has none. A group is nobody's own address.
Address DatagramSocket::sender_address(const Address& destination) const {
  if (binding_ == nullptr) return {};
  const Address& own = binding_->address();
  if (!internet()) return own;
  const Address any = family_ == AddressFamily::ipv4 ? Address::ipv4({}, own.port())
                                                     : Address::ipv6({}, own.port());
  return host_.specific(is_group(own) ? any : own, destination);
}

/// Whoever is connected receives from its peer only.
Result<std::shared_ptr<DatagramSocket>> DatagramSocket::receiver_of(const Address* destination) {
  std::shared_ptr<DatagramSocket> receiver = peer_.lock();
  if (destination != nullptr) {
    Result<const Binding*> found =
        host_.address_book().find_name(SocketType::datagram, *destination);
    if (!found) return found.error();
    receiver = found.value()->reached<DatagramSocket>()->shared_from_this();
  }
  if (receiver == nullptr || receiver->closed_) {
    return kernel_error(std::errc::connection_refused);
  }
  if (receiver->peer_address_ && receiver->peer_.lock().get() != this) {
    return kernel_error(std::errc::operation_not_permitted);
  }
  return receiver;
}

std::error_code DatagramSocket::send_here(ConstBytes data, const Address* destination) {
  Result<std::shared_ptr<DatagramSocket>> found = receiver_of(destination);
  if (!found) return found.error();
  const std::shared_ptr<DatagramSocket>& receiver = found.value();
  if (!receiver->has_room()) {
    wait_for(*receiver);
    return kernel_error(std::errc::operation_would_block);
  }
  Datagram datagram{.data = {data.begin(), data.end()}, .sender = sender_address({})};
  receiver->occupied_ += cost(datagram);
  host_.network().deliver_locally(
      [receiver, datagram = std::move(datagram)] { receiver->receive(datagram); }, last_arrival_);
  return {};
}

std::error_code DatagramSocket::check_destination(const Address& destination) const {
  if (destination.family() != family_) {
    return kernel_error(std::errc::address_family_not_supported);
  }
  if (destination.port() == 0) return kernel_error(std::errc::invalid_argument);
  if (is_group(destination)) return {};
  if (is_broadcast(destination)) {
    return allow_broadcast_ ? std::error_code() : kernel_error(std::errc::permission_denied);
  }
  if (binding_ != nullptr && is_loopback(binding_->address()) && !host_.has(destination)) {
    return kernel_error(std::errc::invalid_argument);
  }
  const bool known = host_.network().host_at(destination, host_) != nullptr;
  return known && host_.address_towards(destination) ? std::error_code()
                                                     : kernel_error(std::errc::network_unreachable);
}

std::error_code DatagramSocket::send_to_network(ConstBytes data, const Address& destination) {
  if (const std::error_code error = check_destination(destination)) return error;
  if (binding_ == nullptr) {
    if (const std::error_code error = bind(local_address(), false)) return error;
  }
  const Address to = host_.specific(destination, destination);
  const Datagram datagram{.data = {data.begin(), data.end()}, .sender = sender_address(to)};
  const auto send_to = [&](Host& host) {
    host_.network().send(host_, host, std::make_unique<DatagramPacket>(datagram, to),
                         last_arrival_);
  };
  if (is_group(to) || (is_broadcast(to) && !is_loopback(to))) {
    for (const auto& host : host_.network().hosts()) {
      if (host.get() != &host_ || !is_group(to) || multicast_loop_) send_to(*host);
    }
  } else {
    send_to(*host_.network().host_at(to, host_));
  }
  return {};
}

void DatagramSocket::wait_for(DatagramSocket& receiver) {
  if (std::exchange(blocked_on_, &receiver) == &receiver) return;
  receiver.waiting_.push_back(weak_from_this());
}

void DatagramSocket::wake_waiting() noexcept {
  for (const auto& waiting : std::exchange(waiting_, {})) {
    const std::shared_ptr<DatagramSocket> sender = waiting.lock();
    if (sender == nullptr || sender->blocked_on_ != this) continue;
    sender->blocked_on_ = nullptr;
    sender->changed();
  }
}

// --- Arriving ------------------------------------------------------------------------------------

void DatagramSocket::arrive(Host& host, const Datagram& datagram, const Address& destination) {
  if (is_group(destination) || is_broadcast(destination)) {
    return arrive_at_all(host, datagram, destination);
  }
  const Binding* found =
      host.address_book().find(SocketType::datagram, destination, [&](const Binding& binding) {
        return binding.reached<DatagramSocket>()->suits(datagram.sender);
      });
  if (found != nullptr) return found->reached<DatagramSocket>()->arrive_from_network(datagram);
  Host* const sender = host.network().host_at(datagram.sender, host);
  if (sender == nullptr) return;
  TimePoint any{};
  host.network().send(host, *sender, std::make_unique<Refusal>(datagram.sender, destination), any);
}

/// Only who is connected is told.
void DatagramSocket::refused() noexcept {
  error_ = kernel_error(std::errc::connection_refused);
  changed();
}

/// Everybody who asked for what is sent to `destination` gets it: a group's members, or those who
/// listen on all addresses.
void DatagramSocket::arrive_at_all(Host& host, const Datagram& datagram,
                                   const Address& destination) {
  const bool group = is_group(destination);
  const Address group_address = destination.with_port(0);
  host.address_book().for_each_at_port(
      SocketType::datagram, destination, [&](const Binding& binding) {
        DatagramSocket& socket = *binding.reached<DatagramSocket>();
        const bool member = !group || std::ranges::count(socket.groups_, group_address) > 0;
        const bool matches = is_wildcard(binding.address()) || binding.address() == destination;
        if (member && matches && socket.suits(datagram.sender) > 0) {
          socket.arrive_from_network(datagram);
        }
      });
}

/// 0 if this socket receives nothing from `sender`; its peer suits it best.
int DatagramSocket::suits(const Address& sender) const noexcept {
  if (!peer_address_) return 1;
  return *peer_address_ == sender ? 2 : 0;
}

void DatagramSocket::arrive_from_network(const Datagram& datagram) {
  if (!has_room()) return;  // lost, as in a kernel
  occupied_ += cost(datagram);
  receive(datagram);
}

void DatagramSocket::receive(Datagram datagram) {
  if (closed_) return;
  received_.push_back(std::move(datagram));
  changed();
}

std::vector<Datagram> DatagramSocket::take(std::size_t limit) {
  std::vector<Datagram> taken;
  for (; !received_.empty() && taken.size() < limit; received_.pop_front()) {
    occupied_ -= cost(received_.front());
    taken.push_back(std::move(received_.front()));
  }
  if (has_room()) wake_waiting();
  return taken;
}

void DatagramSocket::put_back(Datagram datagram) {
  occupied_ += cost(datagram);
  received_.push_front(std::move(datagram));
}

// --- Groups --------------------------------------------------------------------------------------

std::error_code DatagramSocket::set_membership(const Address& group, const Address& interface,
                                               bool member) {
  if (!internet()) return kernel_error(std::errc::operation_not_supported);
  if (group.family() != family_ || !is_group(group)) {
    return kernel_error(std::errc::invalid_argument);
  }
  if (!interface.empty() && !host_.has(interface)) return kernel_error(std::errc::no_such_device);
  const auto found = std::ranges::find(groups_, group.with_port(0));
  if (member && found != groups_.end()) return kernel_error(std::errc::address_in_use);
  if (!member && found == groups_.end()) return kernel_error(std::errc::address_not_available);
  if (member) {
    groups_.push_back(group.with_port(0));
  } else {
    groups_.erase(found);
  }
  return {};
}

}  // namespace weir::inline v0::detail::simulated
