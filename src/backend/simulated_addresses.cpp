#include "simulated_addresses.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>

#include "simulated_host.h"

namespace weir::inline v0::detail::simulated {
namespace {

constexpr std::uint16_t first_ephemeral_port = 32768;
constexpr std::uint16_t last_ephemeral_port = 60999;

/// Of a Unix name: what fits in Linux's sockaddr_un, where a path has a terminator.
constexpr std::size_t max_name = 108;

std::span<const std::uint8_t> host_bytes(const Address& address) noexcept {
  return std::span(address.bytes()).first(address.family() == AddressFamily::ipv4 ? 4 : 16);
}

bool is_abstract(const std::string& name) noexcept { return name.starts_with('\0'); }

/// Why there can be no such name.
std::error_code check_name(const std::string& name) noexcept {
  if (is_abstract(name)) {
    return name.size() > max_name ? kernel_error(std::errc::filename_too_long) : std::error_code();
  }
  if (name.find('\0') != std::string::npos) return kernel_error(std::errc::invalid_argument);
  return name.size() >= max_name ? kernel_error(std::errc::filename_too_long) : std::error_code();
}

}  // namespace

bool is_internet(const Address& address) noexcept {
  return address.family() == AddressFamily::ipv4 || address.family() == AddressFamily::ipv6;
}

bool is_wildcard(const Address& address) noexcept {
  return std::ranges::all_of(host_bytes(address), [](std::uint8_t byte) { return byte == 0; });
}

Address loopback(AddressFamily family, std::uint16_t port) noexcept {
  if (family == AddressFamily::ipv4) return Address::ipv4({127, 0, 0, 1}, port);
  return Address::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
}

bool same_host(const Address& left, const Address& right) noexcept {
  return left.family() == right.family() && std::ranges::equal(host_bytes(left), host_bytes(right));
}

bool is_loopback(const Address& address) noexcept {
  if (address.family() == AddressFamily::ipv4) return address.bytes()[0] == 127;
  return same_host(address, loopback(AddressFamily::ipv6, 0));
}

bool is_group(const Address& address) noexcept {
  const std::uint8_t first = address.bytes()[0];
  return address.family() == AddressFamily::ipv4 ? (first & 0xf0U) == 0xe0U : first == 0xffU;
}

bool is_broadcast(const Address& address) noexcept {
  if (address.family() != AddressFamily::ipv4) return false;
  const auto& bytes = address.bytes();
  return (bytes[0] == 127 || bytes[0] == 255) &&
         std::all_of(&bytes[1], &bytes[4], [](std::uint8_t byte) { return byte == 255; });
}

Binding::Binding(AddressBook& book, SocketType type, Address address, bool reuse_port)
    : book_(book), type_(type), address_(std::move(address)), reuse_port_(reuse_port) {
  book_.enter(*this);
}

Binding::~Binding() { book_.leave(*this); }

void Binding::remove_path() noexcept {
  const auto found = book_.names_.find(address_.path());
  const bool mine = found != book_.names_.end() && found->second == this;
  if (mine && !is_abstract(found->first)) book_.names_.erase(found);
}

/// A new socket takes a path over.
void AddressBook::enter(Binding& binding) {
  if (is_internet(binding.address())) {
    ports_.emplace(port_of(binding.type(), binding.address()), &binding);
  } else {
    names_.insert_or_assign(binding.address().path(), &binding);
  }
}

void AddressBook::leave(const Binding& binding) noexcept {
  if (is_internet(binding.address())) {
    auto [first, last] = ports_.equal_range(port_of(binding.type(), binding.address()));
    ports_.erase(
        std::find_if(first, last, [&](const auto& entry) { return entry.second == &binding; }));
    return;
  }
  const auto found = names_.find(binding.address().path());
  if (found == names_.end() || found->second != &binding) return;
  if (is_abstract(found->first)) {
    names_.erase(found);
  } else {
    found->second = nullptr;
  }
}

bool AddressBook::taken(SocketType type, const Address& address, Sharing sharing) const {
  if (type == SocketType::stream && !sharing.reuse_address && host_.tcp().uses(address))
    return true;
  auto [first, last] = ports_.equal_range(port_of(type, address));
  return std::any_of(first, last, [&](const auto& entry) {
    const Binding& other = *entry.second;
    const bool overlap =
        is_wildcard(address) || is_wildcard(other.address()) || same_host(address, other.address());
    return overlap && !(sharing.reuse_port && other.reuse_port());
  });
}

std::optional<Address> AddressBook::with_free_port(SocketType type, const Address& address) {
  std::uint16_t& last =
      last_free_port_.try_emplace({type, address.family()}, last_ephemeral_port).first->second;
  for (int tries = 0; tries <= last_ephemeral_port - first_ephemeral_port; ++tries) {
    last =
        last == last_ephemeral_port ? first_ephemeral_port : static_cast<std::uint16_t>(last + 1);
    Address candidate = address.with_port(last);
    if (!taken(type, candidate, {})) return candidate;
  }
  return std::nullopt;
}

Result<std::unique_ptr<Binding>> AddressBook::bind(SocketType type, const Address& address,
                                                   Sharing sharing) {
  if (address.family() == AddressFamily::unix_socket) return bind_name(type, address);
  if (!is_internet(address)) return kernel_error(std::errc::address_family_not_supported);
  const bool group = type == SocketType::datagram && is_group(address);
  if (!host_.has(address) && !group) return kernel_error(std::errc::address_not_available);
  const bool any_port = address.port() == 0;
  const std::optional<Address> wanted = any_port ? with_free_port(type, address) : address;
  if (!wanted || (!any_port && taken(type, *wanted, sharing))) {
    return kernel_error(std::errc::address_in_use);
  }
  return std::make_unique<Binding>(*this, type, *wanted, sharing.reuse_port);
}

Result<std::unique_ptr<Binding>> AddressBook::bind_name(SocketType type, const Address& address) {
  const std::string& name = address.path();
  if (const std::error_code error = check_name(name)) return error;
  if (is_abstract(name) && names_.contains(name)) return kernel_error(std::errc::address_in_use);
  return std::make_unique<Binding>(*this, type, name.empty() ? free_name() : address, false);
}

/// An abstract name of five digits, as Linux gives.
Address AddressBook::free_name() {
  for (;;) {
    std::array<char, 8> digits{};
    std::snprintf(digits.data(), digits.size(), "%05x", ++last_free_name_ & 0xfffffU);
    std::string name = '\0' + std::string(digits.data());
    if (!names_.contains(name)) return Address::unix_socket(std::move(name));
  }
}

const Binding* AddressBook::find(SocketType type, const Address& address, const Rank& rank) const {
  const Binding* found = nullptr;
  std::pair<int, bool> best;
  std::uint64_t rivals = 0;  // as good as `found`, which is drawn from them
  for_each_at_port(type, address, [&](const Binding& binding) {
    const bool exact = same_host(binding.address(), address);
    const std::pair<int, bool> rating{rank(binding), exact};
    if (rating.first == 0 || !(exact || is_wildcard(binding.address()))) return;
    if (found != nullptr && rating < best) return;
    if (rating != best) rivals = 0;
    best = rating;
    if (++rivals == 1 || random_.between(1, rivals) == 1) found = &binding;
  });
  return found;
}

Result<const Binding*> AddressBook::find_name(SocketType type, const Address& address) const {
  if (const std::error_code error = check_name(address.path())) return error;
  const auto found = names_.find(address.path());
  if (found == names_.end() && !is_abstract(address.path())) {
    return kernel_error(std::errc::no_such_file_or_directory);
  }
  if (found == names_.end() || found->second == nullptr) {
    return kernel_error(std::errc::connection_refused);
  }
  const Binding* binding = found->second;
  if (binding->type() != type) return kernel_error(std::errc::wrong_protocol_type);
  return binding;
}

}  // namespace weir::inline v0::detail::simulated
