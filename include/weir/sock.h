#pragma once

#include <weir/address.h>
#include <weir/descriptor.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/sendfile.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

// Calls on sockets that the caller made and keeps, for what needs no transport. [K5-K9]
//
// A call is tried at once. What would block waits until the socket is ready: one call for each direction,
// since a newer one, and add_reader() or add_writer() as well, takes the place of an older one, which is
// then cancelled. Cancelling stops watching the socket before it returns; nothing was received by then.
//
// A socket must be non-blocking, which debug mode checks. [L25] Errors come through the future:
// WrongStateError for the socket of a transport or a closed loop, std::invalid_argument for what cannot
// be a socket, UnsupportedOperationError on a simulated loop, std::system_error for what the system says.
//
// Threads: the loop's.
namespace weir::inline v0 {

/// Receives up to `n` bytes; none is the end of the stream.
WEIR_API Future<std::vector<std::byte>> sock_recv(EventLoop& loop, int sock, std::size_t n);

/// The same into `buffer`, which stays the caller's and must live until the future is done; gives how
/// many bytes came.
WEIR_API Future<std::size_t> sock_recv_into(EventLoop& loop, int sock, std::span<std::byte> buffer);

struct ReceivedFrom {
  std::vector<std::byte> data;
  Address sender;
};

/// Receives a datagram, of which what is over `n` bytes is lost.
WEIR_API Future<ReceivedFrom> sock_recvfrom(EventLoop& loop, int sock, std::size_t n);

struct ReceivedFromInto {
  std::size_t size = 0;
  Address sender;
};

/// The same into the first `n` bytes of `buffer`; 0: into the whole. std::invalid_argument if that is
/// more than there are. `buffer` as for sock_recv_into().
WEIR_API Future<ReceivedFromInto> sock_recvfrom_into(EventLoop& loop, int sock,
                                                     std::span<std::byte> buffer,
                                                     std::size_t n = 0);

/// Sends all of `data`, or fails: how much was sent by then is unknown. What is not sent at once is
/// copied, so `data` may go when the call returns. [K7, C6]
WEIR_API Future<void> sock_sendall(EventLoop& loop, int sock, std::span<const std::byte> data);

/// Sends a datagram to `address`; without one, to the peer. Gives its size. `data` as above. [K7]
WEIR_API Future<std::size_t> sock_sendto(EventLoop& loop, int sock, std::span<const std::byte> data,
                                         const Address& address);

struct Accepted {
  Descriptor socket;  ///< non-blocking, close-on-exec
  Address peer;
};

/// Accepts a connection on a listening socket. [K7]
WEIR_API Future<Accepted> sock_accept(EventLoop& loop, int sock);

/// Connects to `address`. Errors have it in their text. [K7, N13]
WEIR_API Future<void> sock_connect(EventLoop& loop, int sock, const Address& address);

/// The same to the first address that `host` has in the family of `sock`, which must be an internet
/// socket: std::invalid_argument for any other. Errors as getaddrinfo(), too. [K7]
WEIR_API Future<void> sock_connect(EventLoop& loop, int sock, std::string_view host,
                                   std::uint16_t port);

/// Sends the open file `file` over the connected stream socket `sock`; gives how many bytes were sent.
/// As sendfile(), but the fallback reads 256 KiB at a time. Both descriptors stay the caller's, who may
/// close them at once. [K5]
WEIR_API Future<std::uint64_t> sock_sendfile(EventLoop& loop, int sock, int file,
                                             SendfileOptions options = {});

}  // namespace weir::inline v0
