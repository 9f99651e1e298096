#pragma once

#include <weir/address.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulated_addresses.h"
#include "simulated_network.h"
#include "simulated_tcp.h"

namespace weir::inline v0::detail::simulated {

/// One machine: its addresses, who holds them, and its TCP connections.
class Host {
 public:
  Host(Network& network, std::size_t number, std::string name, std::vector<Address> addresses);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  Network& network() noexcept { return network_; }
  /// In the order the hosts were made.
  std::size_t number() const noexcept { return number_; }
  const std::string& name() const noexcept { return name_; }
  /// Those by which others reach it, without ports.
  const std::vector<Address>& addresses() const noexcept { return addresses_; }
  AddressBook& address_book() noexcept { return address_book_; }
  TcpTable& tcp() noexcept { return tcp_; }

  /// Whether it has `address`: one of its own, 127.0.0.0/8, ::1, or a wildcard.
  bool has(const Address& address) const noexcept;
  /// What its sockets that have no address use towards `remote`, without a port; nothing if it has none
  /// of that kind.
  std::optional<Address> address_towards(const Address& remote) const;
  /// What `address` means to one connection with `remote`, if it is a wildcard.
  Address specific(const Address& address, const Address& remote) const;

  bool is_up() const noexcept { return up_; }
  /// Everything that its sockets were is gone, and nobody is told.
  void crash() noexcept;
  void restart() noexcept { up_ = true; }

 private:
  Network& network_;
  const std::size_t number_;
  const std::string name_;
  const std::vector<Address> addresses_;
  bool up_ = true;
  AddressBook address_book_;
  TcpTable tcp_;
};

}  // namespace weir::inline v0::detail::simulated
