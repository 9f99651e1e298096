#include "simulated_host.h"

#include <algorithm>

namespace weir::inline v0::detail::simulated {

Host::Host(Network& network, std::size_t number, std::string name, std::vector<Address> addresses)
    : network_(network),
      number_(number),
      name_(std::move(name)),
      addresses_(std::move(addresses)),
      address_book_(*this, network.random()),
      tcp_(*this) {}

Host::~Host() = default;

bool Host::has(const Address& address) const noexcept {
  if (is_wildcard(address) || is_loopback(address)) return true;
  return std::ranges::any_of(addresses_,
                             [&](const Address& own) { return same_host(own, address); });
}

std::optional<Address> Host::address_towards(const Address& remote) const {
  if (is_loopback(remote) || is_wildcard(remote)) return loopback(remote.family(), 0);
  if (has(remote)) return remote.with_port(0);
  const auto found = std::ranges::find(addresses_, remote.family(), &Address::family);
  if (found == addresses_.end()) return std::nullopt;
  return *found;
}

Address Host::specific(const Address& address, const Address& remote) const {
  if (!is_internet(address) || !is_wildcard(address)) return address;
  return address_towards(remote).value_or(loopback(address.family(), 0)).with_port(address.port());
}

void Host::crash() noexcept {
  up_ = false;
  tcp_.vanish();
}

}  // namespace weir::inline v0::detail::simulated
