#include "socket_calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

#include "sockaddr.h"

namespace weir::inline v0::detail {
namespace {

std::error_code set_option(int socket, int level, int name, bool enabled) noexcept {
  const int value = enabled ? 1 : 0;
  if (::setsockopt(socket, level, name, &value, sizeof value) == 0) return {};
  return last_system_error();
}

int domain_of(const Address& address) noexcept {
  switch (address.family()) {
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

Address name_of(int socket, NameCall call) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (call(socket, address, &length) != 0) return {};
  return address_from(*address, length);
}

}  // namespace

std::error_code last_system_error() noexcept { return {errno, std::system_category()}; }

Result<Fd> open_stream_socket(const Address& address) noexcept {
  Fd socket(::socket(domain_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return last_system_error();
  return socket;
}

std::error_code bind_socket(int socket, const Address& address) noexcept {
  sockaddr_storage storage{};
  const socklen_t length = sockaddr_from(address, storage);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&storage), length) == 0) return {};
  return last_system_error();
}

std::error_code connect_socket(int socket, const Address& address) noexcept {
  sockaddr_storage storage{};
  const socklen_t length = sockaddr_from(address, storage);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&storage), length) == 0) return {};
  // An interrupted connect goes on, like one in progress.
  if (errno == EINPROGRESS || errno == EINTR) return {};
  return last_system_error();
}

Result<Fd> open_bound_socket(const Address& address, const ListenOptions& options) noexcept {
  Result<Fd> socket = open_stream_socket(address);
  if (!socket) return socket.error();
  const int number = socket.value().get();
  if (const std::error_code error = set_listen_options(number, address, options)) return error;
  if (const std::error_code error = bind_socket(number, address)) return error;
  return std::move(socket.value());
}

std::error_code prepare_adopted_socket(int descriptor) noexcept {
  int type = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) != 0) {
    return last_system_error();
  }
  if (type != SOCK_STREAM) return std::make_error_code(std::errc::wrong_protocol_type);
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) {
    return last_system_error();
  }
  return {};
}

bool is_internet_socket(int socket) noexcept {
  int domain = AF_UNSPEC;
  socklen_t length = sizeof domain;
  return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
         (domain == AF_INET || domain == AF_INET6);
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

Address local_address_of(int socket) { return name_of(socket, ::getsockname); }
Address peer_address_of(int socket) { return name_of(socket, ::getpeername); }

}  // namespace weir::inline v0::detail
