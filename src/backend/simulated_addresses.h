#pragma once

#include <weir/address.h>
#include <weir/resolve.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>

#include "result.h"
#include "simulated_random.h"

namespace weir::inline v0::detail::simulated {

/// Errors look as if a kernel gave them.
inline std::error_code kernel_error(std::errc error) noexcept {
  return {static_cast<int>(error), std::system_category()};
}

bool is_internet(const Address& address) noexcept;
bool is_wildcard(const Address& address) noexcept;
Address loopback(AddressFamily family, std::uint16_t port) noexcept;
/// 127.0.0.0/8 or ::1: the machine itself, whichever it is.
bool is_loopback(const Address& address) noexcept;
bool same_host(const Address& left, const Address& right) noexcept;
/// A multicast group.
bool is_group(const Address& address) noexcept;
/// Of the machine itself, or of the whole network.
bool is_broadcast(const Address& address) noexcept;
class AcceptQueue;
class AddressBook;
class DatagramSocket;
class Host;

/// Holds an address for as long as it lives.
class Binding {
 public:
  Binding(AddressBook& book, SocketType type, Address address, bool reuse_port);
  Binding(const Binding&) = delete;
  Binding& operator=(const Binding&) = delete;
  ~Binding();

  SocketType type() const noexcept { return type_; }
  const Address& address() const noexcept { return address_; }
  bool reuse_port() const noexcept { return reuse_port_; }

  /// Who is reached here: an AcceptQueue or a DatagramSocket; null as long as nobody is.
  template <class Reached>
  Reached* reached() const noexcept {
    Reached* const* reached = std::get_if<Reached*>(&reached_);
    return reached != nullptr ? *reached : nullptr;
  }
  template <class Reached>
  void lead_to(Reached& reached) noexcept {
    reached_ = &reached;
  }

  /// Gives up a path, if it still leads here: nothing is found there any more.
  void remove_path() noexcept;

 private:
  AddressBook& book_;
  const SocketType type_;
  const Address address_;
  const bool reuse_port_;
  std::variant<std::monostate, AcceptQueue*, DatagramSocket*> reached_;
};

/// Who on one machine has which address.
///
/// Unix names are those of the pretended machine: no file is touched. As in a file system, a path
/// outlives the socket that was bound to it, which leaves it stale, and a new socket replaces it;
/// abstract names go with their socket.
class AddressBook {
 public:
  AddressBook(Host& host, Random& random) noexcept : host_(host), random_(random) {}

  struct Sharing {
    bool reuse_port = false;     ///< with others who say so too
    bool reuse_address = false;  ///< with connections that linger, or were accepted there
  };
  /// Holds `address`, or one that is free if it has no port, or an empty name.
  Result<std::unique_ptr<Binding>> bind(SocketType type, const Address& address, Sharing sharing);

  /// How well a binding suits; 0 if not at all.
  using Rank = std::function<int(const Binding&)>;

  /// Of the bindings of `type` that match `address`, an internet one, the one that suits best; null if
  /// none does. Of equals, those that name the host win, and of these one that is drawn: they share the
  /// port.
  const Binding* find(SocketType type, const Address& address, const Rank& rank) const;

  /// The binding of a Unix name. Errors, besides those of an impossible name: no_such_file_or_directory for an unknown path,
  /// connection_refused if nobody is there, wrong_protocol_type for a socket of another type.
  Result<const Binding*> find_name(SocketType type, const Address& address) const;

  /// Calls `visit` with each binding of `type` at the port of `address`, whatever its host.
  template <class Visit>
  void for_each_at_port(SocketType type, const Address& address, Visit visit) const {
    auto [first, last] = ports_.equal_range(port_of(type, address));
    for (auto entry = first; entry != last; ++entry) visit(std::as_const(*entry->second));
  }

 private:
  friend class Binding;

  using Port = std::tuple<SocketType, AddressFamily, std::uint16_t>;

  static Port port_of(SocketType type, const Address& address) noexcept {
    return {type, address.family(), address.port()};
  }
  bool taken(SocketType type, const Address& address, Sharing sharing) const;
  std::optional<Address> with_free_port(SocketType type, const Address& address);
  Result<std::unique_ptr<Binding>> bind_name(SocketType type, const Address& address);
  Address free_name();
  void enter(Binding& binding);
  void leave(const Binding& binding) noexcept;

  Host& host_;
  Random& random_;
  std::multimap<Port, Binding*> ports_;  ///< those of one port in the order they were made
  std::map<std::pair<SocketType, AddressFamily>, std::uint16_t> last_free_port_;
  std::map<std::string, Binding*> names_;  ///< null for a stale path
  unsigned last_free_name_ = 0;
};

}  // namespace weir::inline v0::detail::simulated
