#include "socket_calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sockaddr.h"

namespace weir::inline v0::detail {
namespace {

int domain_of(AddressFamily family) noexcept {
  switch (family) {
    case AddressFamily::ipv4: return AF_INET;
    case AddressFamily::ipv6: return AF_INET6;
    case AddressFamily::unix_socket: return AF_UNIX;
    case AddressFamily::unspecified: break;
  }
  return AF_UNSPEC;
}

std::error_code set_listen_options(int socket, const Address& address,
                                   const ListenOptions& options) noexcept {
  const bool internet = address.family() != AddressFamily::unix_socket;
  std::error_code error;
  if (options.reuse_address && internet) error = set_option(socket, SOL_SOCKET, SO_REUSEADDR, true);
  if (!error && options.reuse_port && internet) {
    error = set_option(socket, SOL_SOCKET, SO_REUSEPORT, true);
  }
  if (!error && options.keep_alive) error = set_option(socket, SOL_SOCKET, SO_KEEPALIVE, true);
  if (!error && address.family() == AddressFamily::ipv6) {
    error = set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, true);
  }
  return error;
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

std::optional<Address> name_of(int socket, NameCall call) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (call(socket, address, &length) != 0) return std::nullopt;
  return address_from(*address, length);
}

/// True for a path, as opposed to an abstract name or none.
bool is_path(const Address& address) noexcept {
  return address.family() == AddressFamily::unix_socket && !address.path().empty() &&
         address.path().front() != '\0';
}

/// `address` as the system wants it.
Result<socklen_t> system_address(const Address& address, sockaddr_storage& storage) noexcept {
  if (is_path(address) && address.path().find('\0') != std::string::npos) {
    return std::make_error_code(std::errc::invalid_argument);
  }
  const socklen_t length = sockaddr_from(address, storage);
  if (length > 0) return length;
  return std::make_error_code(address.family() == AddressFamily::unix_socket
                                  ? std::errc::filename_too_long
                                  : std::errc::address_family_not_supported);
}

/// What stands in the way otherwise is told by bind.
void remove_stale_socket(const Address& address) noexcept {
  if (!is_path(address)) return;
  const char* path = address.path().c_str();
  struct stat status {};
  if (::lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) static_cast<void>(::unlink(path));
}

}  // namespace

std::error_code last_system_error() noexcept { return {errno, std::system_category()}; }

std::error_code set_option(int socket, int level, int name, bool enabled) noexcept {
  const int value = enabled ? 1 : 0;
  if (::setsockopt(socket, level, name, &value, sizeof value) == 0) return {};
  return last_system_error();
}

Result<Fd> open_socket(AddressFamily family, int type) noexcept {
  Fd socket(::socket(domain_of(family), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return last_system_error();
  return socket;
}

std::error_code bind_socket(int socket, const Address& address) noexcept {
  sockaddr_storage storage;  // NOLINT(*-member-init): filled as far as it is used
  Result<socklen_t> length = system_address(address, storage);
  if (!length) return length.error();
  remove_stale_socket(address);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&storage), length.value()) == 0) return {};
  return last_system_error();
}

std::error_code connect_socket(int socket, const Address& address) noexcept {
  sockaddr_storage storage;  // NOLINT(*-member-init): filled as far as it is used
  Result<socklen_t> length = system_address(address, storage);
  if (!length) return length.error();
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&storage), length.value()) == 0)
    return {};
  // An interrupted connect goes on, like one in progress.
  if (errno == EINPROGRESS || errno == EINTR) return {};
  return last_system_error();
}

Result<Fd> open_bound_socket(const Address& address, const ListenOptions& options) noexcept {
  Result<Fd> socket = open_socket(address.family(), SOCK_STREAM);
  if (!socket) return socket.error();
  const int number = socket.value().get();
  if (const std::error_code error = set_listen_options(number, address, options)) return error;
  if (const std::error_code error = bind_socket(number, address)) return error;
  return std::move(socket.value());
}

BoundPath bound_path_of(int socket) {
  const Address address = local_address_of(socket);
  struct stat status {};
  if (!is_path(address) || ::lstat(address.path().c_str(), &status) != 0 ||
      !S_ISSOCK(status.st_mode)) {
    return {};
  }
  return {.path = address.path(), .device = status.st_dev, .inode = status.st_ino};
}

std::error_code remove_bound_path(const BoundPath& bound) noexcept {
  if (bound.path.empty()) return {};
  struct stat status {};
  if (::lstat(bound.path.c_str(), &status) == 0) {
    if (status.st_dev != bound.device || status.st_ino != bound.inode) return {};
    if (::unlink(bound.path.c_str()) == 0) return {};
  }
  if (errno == ENOENT) return {};
  return last_system_error();
}

std::error_code prepare_adopted_socket(int descriptor, int type) noexcept {
  int actual = 0;
  socklen_t length = sizeof actual;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &actual, &length) != 0) {
    return last_system_error();
  }
  if (actual != type) return std::make_error_code(std::errc::wrong_protocol_type);
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) {
    return last_system_error();
  }
  return {};
}

AddressFamily family_of(int socket) noexcept {
  int domain = AF_UNSPEC;
  socklen_t length = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) domain = AF_UNSPEC;
  switch (domain) {
    case AF_INET: return AddressFamily::ipv4;
    case AF_INET6: return AddressFamily::ipv6;
    case AF_UNIX: return AddressFamily::unix_socket;
    default: return AddressFamily::unspecified;
  }
}

void set_no_delay(int socket) noexcept {
  // What has no such option is no TCP socket, and needs none.
  static_cast<void>(set_option(socket, IPPROTO_TCP, TCP_NODELAY, true));
}

std::error_code pending_socket_error(int socket) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return last_system_error();
  return {error, std::system_category()};
}

Address local_address_of(int socket) { return name_of(socket, ::getsockname).value_or(Address()); }
Address peer_address_of(int socket) { return connected_peer_of(socket).value_or(Address()); }
std::optional<Address> connected_peer_of(int socket) { return name_of(socket, ::getpeername); }

}  // namespace weir::inline v0::detail
