#pragma once

#include <weir/address.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "backend.h"
#include "simulated_addresses.h"
#include "simulated_host.h"

namespace weir::inline v0::detail::simulated {

struct Datagram {
  std::vector<std::byte> data;
  Address sender;
};

/// A datagram socket, as the kernel sees it. What one socket sends keeps its order.
///
/// Over the internet whoever has the address when a datagram arrives gets it; what nobody has asked
/// for, or has room for, is lost, and a connected sender is told of a port that nobody has. The links may
/// lose, repeat and reorder. Between
/// Unix sockets the receiver is found, and its room taken, when the datagram is sent.
class DatagramSocket : public std::enable_shared_from_this<DatagramSocket> {
 public:
  DatagramSocket(Host& host, const DatagramPlan& plan)
      : host_(host), family_(plan.family), allow_broadcast_(plan.allow_broadcast) {}

  std::error_code bind(const Address& address, bool reuse_port);
  std::error_code connect(const Address& peer);
  void set_user(SocketUser& user) noexcept { user_ = &user; }
  /// Its user is gone.
  void close() noexcept;

  Host& host() const noexcept { return host_; }
  AddressFamily family() const noexcept { return family_; }
  Address local_address() const;
  const std::optional<Address>& peer_address() const noexcept { return peer_address_; }

  /// Sends `data` to `destination`, or to the peer; operation_would_block if there is no room.
  std::error_code send(ConstBytes data, const Address* destination);
  /// True since a send() found no room, until there may be some.
  bool blocked() const noexcept { return blocked_on_ != nullptr; }

  /// True if there is an error or a datagram to be taken.
  bool readable() const noexcept { return error_ || !received_.empty(); }
  std::error_code take_error() noexcept { return std::exchange(error_, {}); }
  /// Takes the first, at most `limit`.
  std::vector<Datagram> take(std::size_t limit);
  /// The next take() begins with `datagram`.
  void put_back(Datagram datagram);

  /// `datagram`, which was sent to `destination`, is at `host`.
  static void arrive(Host& host, const Datagram& datagram, const Address& destination);
  /// Nobody has the peer's port.
  void refused() noexcept;

  std::error_code set_membership(const Address& group, const Address& interface, bool member);
  void set_multicast_loop(bool enabled) noexcept { multicast_loop_ = enabled; }

 private:
  bool internet() const noexcept { return family_ != AddressFamily::unix_socket; }
  std::size_t max_size() const noexcept;
  Address sender_address(const Address& destination) const;
  std::error_code send_here(ConstBytes data, const Address* destination);
  std::error_code send_to_network(ConstBytes data, const Address& destination);
  std::error_code check_destination(const Address& destination) const;
  Result<std::shared_ptr<DatagramSocket>> receiver_of(const Address* destination);
  static void arrive_at_all(Host& host, const Datagram& datagram, const Address& destination);
  void arrive_from_network(const Datagram& datagram);
  void receive(Datagram datagram);
  int suits(const Address& sender) const noexcept;
  bool has_room() const noexcept { return occupied_ < host_.network().buffer_size(); }
  void wait_for(DatagramSocket& receiver);
  void wake_waiting() noexcept;
  void changed() noexcept {
    if (user_ != nullptr) user_->socket_changed();
  }

  Host& host_;
  const AddressFamily family_;
  const bool allow_broadcast_;
  SocketUser* user_ = nullptr;
  bool closed_ = false;
  bool multicast_loop_ = true;
  std::unique_ptr<Binding> binding_;
  std::optional<Address> peer_address_;
  std::weak_ptr<DatagramSocket> peer_;  ///< of a Unix socket
  std::vector<Address> groups_;         ///< without port
  std::error_code error_;
  TimePoint last_arrival_{};  ///< of what it sent
  std::deque<Datagram> received_;
  std::size_t occupied_ =
      0;  ///< by what it received; by what is on its way too between Unix sockets
  DatagramSocket* blocked_on_ = nullptr;
  std::vector<std::weak_ptr<DatagramSocket>> waiting_;  ///< for room here
};

}  // namespace weir::inline v0::detail::simulated
