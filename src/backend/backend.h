#pragma once

#include <weir/address.h>
#include <weir/error.h>
#include <weir/simulation.h>
#include <weir/transport.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "fd.h"
#include "result.h"

// The seam: everything above is the same over every kernel, and over the simulation.
//
// A backend opens channels. A channel is told what to do by verbs (down) and tells what happened by
// events (up). The rules, which every backend keeps and every user of one may rely on:
//
//  1. Events come only from Backend::dispatch(), never from inside a verb, and dispatch() delivers
//     only what the last wait() collected: what a verb causes comes after another wait(). [L9, B8]
//  2. A verb takes effect at once: no on_received() after stop_receiving() returned, no event but
//     on_closed() after close() returned. Any verb may be called from inside any event.
//  3. One channel gets at most one receive event in one dispatch(): nobody starves the others. [S3]
//  4. What unsent() gave stays in place until on_sent(), on_failed() or on_closed(): a kernel may be
//     reading it. on_closed() is the last event of a stream channel; only then may its events object,
//     and the channel, be destroyed. Exceptions: a channel that was never attached may be destroyed at
//     any time, which closes it; and when the whole backend is about to be destroyed, all its channels
//     are destroyed first, without events.
//  5. After on_eof() there is no on_received(); after on_failed() there is only on_closed().
//  6. Everything is noexcept. Errors are error codes: nothing unwinds through a dispatch.
//
// A stream channel may also be made of a transport: that of TLS is. Its events come when that one's
// protocol is told something, or from the loop; else it keeps the rules.
//
// All calls are made on the loop's thread, wake() excepted.
namespace weir::inline v0::detail {

using TimePoint = std::chrono::steady_clock::time_point;
using ConstBytes = std::span<const std::byte>;

/// How many pieces unsent() is asked for, and try_send() takes, at the most.
inline constexpr std::size_t max_send_pieces = 64;

/// The size of the receive buffer that all channels of a backend share. [S3]
inline constexpr std::size_t receive_buffer_size = std::size_t{256} * 1024;

/// What a stream channel tells its user.
class StreamEvents {
 public:
  /// Asked when bytes are there: where to put them. Empty: in the backend's own buffer, valid during
  /// on_received(). Nothing: receive nothing now (the user stopped, or closed, meanwhile). [U7, U13]
  virtual std::optional<std::span<std::byte>> receive_buffer() noexcept = 0;
  /// Whether receive_buffer() asks the user for one, so that it should not be called for nothing.
  virtual bool has_own_buffer() const noexcept { return true; }
  /// `bytes`, never none, were received: into what receive_buffer() gave, or the backend's own buffer.
  virtual void on_received(ConstBytes bytes) noexcept = 0;
  /// The peer ended its sending side. At most once.
  virtual void on_eof() noexcept = 0;
  /// Asked while sending: the next pieces to send, as many as there are and fit. Returns how many.
  virtual std::size_t unsent(std::span<ConstBytes> pieces) noexcept = 0;
  /// The first `count` bytes of what unsent() gave left; never 0. When nothing is unsent any more the
  /// channel stops sending by itself.
  virtual void on_sent(std::size_t count) noexcept = 0;
  /// Whether anybody does something once what is unsent has left. Else on_sent() may come late, with the next
  /// other event of the backend.
  virtual bool awaits_sent() const noexcept { return true; }
  /// The connection broke.
  virtual void on_failed(std::error_code error) noexcept = 0;
  /// Of a channel that ends in an order of its own: it is over, regularly or for `reason`. After it there
  /// is only on_closed().
  virtual void on_over(const CloseReason& /*reason*/) noexcept {}
  /// close() is complete.
  virtual void on_closed() noexcept = 0;

 protected:
  ~StreamEvents() = default;
};

/// How much a try_send() took, and the error that stopped it, if one did (would-block is none). An
/// error here is not repeated as on_failed(): the caller of write() is the first to know. [S26]
struct SendResult {
  std::size_t sent = 0;
  std::optional<std::error_code> error{};  // whose default would ask for a category, at every send
};

/// What a Unix socket does besides carrying bytes.
class LocalSocket {
 public:
  /// Close-on-exec duplicates of `descriptors`. Throws std::system_error if one is not open.
  virtual std::vector<Fd> duplicates(std::span<const int> descriptors) const = 0;
  /// `descriptors` leave with the first byte that is sent next, by try_send() or from unsent(). Called
  /// before that byte is given, and not again until it left.
  virtual void send_along(std::vector<Fd> descriptors) noexcept = 0;
  /// Whether descriptors that arrive are kept until the end of their on_received(), or closed at once,
  /// as at first.
  virtual void receive_descriptors(bool enabled) noexcept = 0;
  /// Those of the on_received() that is running, if they were not taken before.
  virtual std::vector<Fd> take_received() noexcept = 0;
  virtual std::optional<PeerCredentials> peer_credentials() const noexcept = 0;

 protected:
  ~LocalSocket() = default;
};

/// What a TLS channel does besides carrying bytes.
class TlsFacet {
 public:
  /// What is known of the TLS connection, and of the one below. [X4]
  virtual ExtraInfo extra_info(std::string_view name) const = 0;
  /// Whether the transport below is closing. [T22]
  virtual bool is_below_closing() const = 0;
  /// When the transport below is paused for what arrived and is not decrypted: as for writing. [T18]
  virtual void set_read_buffer_limits(ReadBufferLimits limits) = 0;
  virtual EffectiveReadBufferLimits read_buffer_limits() const noexcept = 0;
  virtual std::size_t read_buffer_size() const noexcept = 0;
  /// How many TLS connections are one over the other: 0 for one over a connection that is none.
  virtual std::size_t nesting() const noexcept = 0;

 protected:
  ~TlsFacet() = default;
};

/// How many descriptors one message may carry: Linux's SCM_MAX_FD.
inline constexpr std::size_t max_passed_descriptors = 253;

/// One connected byte stream, or one end of a pipe.
///
/// Of a pipe's write end nothing is received: start_receiving() watches for the loss of its reader,
/// which is told as on_eof(). A pipe's read end sends nothing.
class StreamChannel {
 public:
  StreamChannel() = default;
  StreamChannel(const StreamChannel&) = delete;
  StreamChannel& operator=(const StreamChannel&) = delete;
  virtual ~StreamChannel() = default;

  /// Names who gets the events; called once, before any other verb.
  virtual void attach(StreamEvents& events) noexcept = 0;

  virtual void start_receiving() noexcept = 0;
  virtual void stop_receiving() noexcept = 0;
  /// Whether `size` bytes, which are all there is to send, had better be queued for start_sending(), which then
  /// sends them together with what others have.
  virtual bool sends_together(std::size_t /*size*/) noexcept { return false; }
  /// True from such a start_sending() until then: try_send() of what is queued is allowed still.
  virtual bool waits_for_others() const noexcept { return false; }
  /// Sends any prefix of `pieces` that can go now, even none. Only while nothing is unsent: before
  /// start_sending(), or again from the on_sent() that told of the last byte; or while waits_for_others().
  virtual SendResult try_send(std::span<const ConstBytes> pieces) noexcept = 0;
  /// From now on, whenever there is room: unsent(), send, on_sent(); until nothing is unsent.
  virtual void start_sending() noexcept = 0;
  /// Ends the sending side. Only while nothing is unsent. Its failure is that of the connection, which
  /// receiving or sending tells.
  virtual void shutdown_send() noexcept = 0;
  /// Of a channel that ends in an order of its own: does so. What is unsent still goes, then the end is
  /// told to the peer and its answer awaited. Nothing that arrives is told any more, but for on_eof() if
  /// it was not before; on_over() follows.
  virtual void finish() noexcept {}
  /// Of the same: nothing is sent any more, whatever finish() began, and on_over() does not follow.
  virtual void stop_sending() noexcept {}
  /// Ends everything; on_closed() follows from dispatch().
  virtual void close() noexcept = 0;

  virtual Address local_address() const = 0;
  /// The kernel's number for it, -1 if there is none.
  virtual int descriptor() const noexcept = 0;
  /// What it can as a Unix socket, null if it is none. As old as the channel.
  virtual LocalSocket* local_socket() noexcept { return nullptr; }
  /// The same for TLS.
  virtual TlsFacet* tls() noexcept { return nullptr; }
};

enum class PipeEnd : bool { read, write };

/// What a listening channel tells its user.
class ListenEvents {
 public:
  virtual void on_accepted(std::unique_ptr<StreamChannel> channel,
                           const Address& peer) noexcept = 0;
  /// accept failed with `error`; a connection that went away before it was accepted is not told.
  virtual void on_accept_failed(std::error_code error) noexcept = 0;

 protected:
  ~ListenEvents() = default;
};

/// A bound socket that may listen. Destroying it, also from inside its own events, closes it at once
/// and ends its events.
class ListenChannel {
 public:
  ListenChannel() = default;
  ListenChannel(const ListenChannel&) = delete;
  ListenChannel& operator=(const ListenChannel&) = delete;
  virtual ~ListenChannel() = default;

  /// Listens and accepts, at most `backlog` + 1 connections in one dispatch(). [V6]
  virtual std::error_code start_accepting(ListenEvents& events, int backlog) noexcept = 0;
  /// Leaves new connections waiting in the kernel until start_accepting() is called again. [V7]
  virtual void stop_accepting() noexcept = 0;

  /// Of a Unix socket bound to a path: removes the path, if it still leads to this socket. Nothing for
  /// any other. [V15]
  virtual std::error_code remove_path() noexcept { return {}; }

  virtual Address local_address() const = 0;
  virtual int descriptor() const noexcept = 0;
};

struct ListenOptions {
  bool reuse_address = true;
  bool reuse_port = false;
  bool keep_alive = false;
};

/// What an attempt to connect tells: one of the two, once.
class ConnectEvents {
 public:
  virtual void on_connected(std::unique_ptr<StreamChannel> channel) noexcept = 0;
  virtual void on_connect_failed(std::error_code error) noexcept = 0;

 protected:
  ~ConnectEvents() = default;
};

/// An attempt to connect. Destroying it, also from inside its own events, ends it, closes its socket
/// at once, and ends its events. [N9]
class ConnectAttempt {
 public:
  ConnectAttempt() = default;
  ConnectAttempt(const ConnectAttempt&) = delete;
  ConnectAttempt& operator=(const ConnectAttempt&) = delete;
  virtual ~ConnectAttempt() = default;
};

/// Which step of opening a socket failed before there was anything to wait for.
enum class ConnectStep : std::uint8_t { socket, option, bind, connect };

struct ConnectStart {
  std::unique_ptr<ConnectAttempt> attempt;  ///< null if it failed at once
  ConnectStep step = ConnectStep::connect;
  std::error_code error{};
};

/// One datagram that arrived. Of no address: the sender has no name.
struct ReceivedDatagram {
  ConstBytes data;  ///< may be empty, which is a datagram like any other [D3]
  Address sender;
};

/// One datagram to be sent; without a destination, to the peer.
struct OutgoingDatagram {
  ConstBytes data;
  const Address* destination = nullptr;
};

/// How many datagrams are received, or asked for by unsent(), at the most.
inline constexpr std::size_t max_datagrams = 64;

/// What a datagram channel tells its user.
class DatagramEvents {
 public:
  /// `datagrams`, at least one, arrived in this order, and are valid during the call. Returns how many of
  /// them were taken: fewer if the user stopped receiving meanwhile. The channel keeps the others, and
  /// delivers them first when receiving goes on. [S8, D16]
  virtual std::size_t on_datagrams(std::span<const ReceivedDatagram> datagrams) noexcept = 0;
  /// A receive failed; the channel goes on. [D9]
  virtual void on_receive_failed(std::error_code error) noexcept = 0;
  /// Asked while sending: the next datagrams, as many as there are and fit. Returns how many.
  virtual std::size_t unsent(std::span<OutgoingDatagram> datagrams) noexcept = 0;
  /// The first `count` of what unsent() gave are done, at least one. If `error` is set the last of these
  /// is lost with it; the channel goes on. [D10] When nothing is unsent any more it stops by itself.
  virtual void on_sent(std::size_t count, std::error_code error) noexcept = 0;
  /// close() is complete.
  virtual void on_closed() noexcept = 0;

 protected:
  ~DatagramEvents() = default;
};

/// How many datagrams are done; if `error` is set the last of those is lost with it. Fewer than there
/// were, and no error: would block.
struct DatagramSendResult {
  std::size_t done = 0;
  std::error_code error{};
};

/// One datagram socket. The rules are those of stream channels.
class DatagramChannel {
 public:
  DatagramChannel() = default;
  DatagramChannel(const DatagramChannel&) = delete;
  DatagramChannel& operator=(const DatagramChannel&) = delete;
  virtual ~DatagramChannel() = default;

  /// Names who gets the events; called once, before any other verb.
  virtual void attach(DatagramEvents& events) noexcept = 0;

  virtual void start_receiving() noexcept = 0;
  virtual void stop_receiving() noexcept = 0;
  /// Sends the first of `datagrams`, at most max_datagrams, until one fails or would block. Only while
  /// nothing is unsent.
  virtual DatagramSendResult try_send(std::span<const OutgoingDatagram> datagrams) noexcept = 0;
  /// From now on, whenever there is room: unsent(), send, on_sent(); until nothing is unsent.
  virtual void start_sending() noexcept = 0;
  /// Ends everything; on_closed() follows from dispatch().
  virtual void close() noexcept = 0;

  virtual Address local_address() const = 0;
  /// The peer it is connected to; it may have no name. [D7]
  virtual std::optional<Address> peer_address() const = 0;
  virtual int descriptor() const noexcept = 0;

  /// Takes part in a multicast group, or no longer. `interface` is one of this machine's addresses, or
  /// empty for the system's choice; for IPv6 its scope_id counts.
  virtual std::error_code set_membership(const Address& group, const Address& interface,
                                         bool member) noexcept = 0;
  /// How many routers what is sent may pass; to groups or to single hosts.
  enum class Hops : bool { unicast, multicast };
  virtual std::error_code set_hops(Hops kind, int count) noexcept = 0;
  /// Whether what is sent to a group comes back to members on this machine.
  virtual std::error_code set_multicast_loop(bool enabled) noexcept = 0;
  /// By which of this machine's interfaces datagrams to groups leave.
  virtual std::error_code set_multicast_interface(const Address& interface) noexcept = 0;
};

/// What a new datagram socket is to be.
struct DatagramPlan {
  AddressFamily family = AddressFamily::unspecified;
  Address local{};   ///< empty: not bound
  Address remote{};  ///< empty: not connected
  bool reuse_port = false;
  bool allow_broadcast = false;
};

struct DatagramOpened {
  std::unique_ptr<DatagramChannel> channel;  ///< null if it failed
  ConnectStep step = ConnectStep::socket;
  std::error_code error{};
};

/// What a watched descriptor tells.
class WatchEvents {
 public:
  virtual void on_readable() noexcept = 0;
  virtual void on_writable() noexcept = 0;

 protected:
  ~WatchEvents() = default;
};

/// A descriptor of the user's that is watched, level-triggered. An error or hang-up wakes each side
/// that is wanted, and nobody if none is. [L27, L29] Destroying it, also from inside its own events,
/// ends the watch; the descriptor stays the user's, who may even have closed it. [L31]
class DescriptorWatch {
 public:
  DescriptorWatch() = default;
  DescriptorWatch(const DescriptorWatch&) = delete;
  DescriptorWatch& operator=(const DescriptorWatch&) = delete;
  virtual ~DescriptorWatch() = default;

  virtual std::error_code want(bool readable, bool writable) noexcept = 0;
};

/// System calls on sockets of the user's own: each tries once and never waits. What would block fails
/// with operation_would_block.
class UserSockets {
 public:
  struct Received {
    std::size_t size = 0;
    Address sender{};
  };
  struct Accepted {
    Fd socket;  ///< non-blocking, close-on-exec
    Address peer{};
  };

  virtual bool is_stream(int socket) const noexcept = 0;
  /// True if calls of the user's on it may block.
  virtual bool is_blocking(int socket) const noexcept = 0;
  virtual Result<std::size_t> receive(int socket, std::span<std::byte> buffer) noexcept = 0;
  virtual Result<Received> receive_from(int socket, std::span<std::byte> buffer) = 0;
  virtual Result<std::size_t> send(int socket, ConstBytes data) noexcept = 0;
  virtual Result<std::size_t> send_to(int socket, ConstBytes data, const Address& to) noexcept = 0;
  virtual Result<Accepted> accept(int socket) = 0;
  /// Starts connecting. Once the socket is writable, take_error() tells the outcome. [N13]
  virtual std::error_code connect(int socket, const Address& address) noexcept = 0;
  virtual std::error_code take_error(int socket) noexcept = 0;
  /// Sends up to `count` bytes of `file`, whose position stays; 0 at its end. [K3]
  virtual Result<std::size_t> send_file(int socket, int file, std::uint64_t offset,
                                        std::size_t count) noexcept = 0;

 protected:
  ~UserSockets() = default;
};

/// A loop, for a backend that runs several in one world: while one of them waits the others have turns.
class LoopTurns {
 public:
  /// When there is something to run, at the latest now if there is at once; nothing if never.
  virtual std::optional<TimePoint> next_turn() noexcept = 0;
  /// Runs one iteration, which does not wait. Returns what may leave a run call.
  virtual std::exception_ptr run_turn() noexcept = 0;
  /// Ends the run call that goes on with `failure`; without one it closes the loop.
  virtual void end_with(std::exception_ptr failure) noexcept = 0;

 protected:
  ~LoopTurns() = default;
};

/// The answer of a backend that knows names itself.
struct KnownName {
  std::vector<Address> addresses{};  ///< without ports; none: there is no such name
  std::chrono::nanoseconds delay{};  ///< after which it comes
  bool fails = false;                ///< nobody can say
};

/// One kernel, or a pretended one.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Names the loop above; called at most once, before anything else.
  virtual void attach(LoopTurns& /*loop*/) noexcept {}

  /// The time, read anew.
  virtual TimePoint now() const noexcept = 0;

  /// Waits until something happened, `deadline` passed, or wake(); for ever without a deadline, not at
  /// all with one that has passed.
  virtual void wait(std::optional<TimePoint> deadline) noexcept = 0;

  /// Delivers what wait() collected, in the order it was found. Returns how many events there were.
  virtual std::size_t dispatch() noexcept = 0;

  /// Ends the dispatch() that is running after the event that called this; what is left is delivered by
  /// the next one. [C10]
  virtual void interrupt_dispatch() noexcept = 0;

  /// Tells the kernel at once what it was to be told by the next wait(): no other follows soon.
  virtual void flush() noexcept {}

  /// Ends the wait() that is running, or the next one. From any thread.
  virtual void wake() noexcept = 0;

  /// See EventLoop::poll_descriptor(). Always the same; once asked for, a host may sleep on it.
  virtual int poll_descriptor() noexcept = 0;

  /// True if wait() would not wait: a host's loop must not sleep. [run_once]
  virtual bool has_pending_events() const noexcept = 0;

  virtual std::unique_ptr<DescriptorWatch> watch(int descriptor, WatchEvents& events) = 0;

  /// Null where the system's sockets mean nothing.
  virtual UserSockets* user_sockets() noexcept { return nullptr; }

  /// True while a channel of this backend uses `descriptor`. [L30]
  virtual bool owns(int descriptor) const noexcept = 0;

  /// Binds a new stream socket. A stale socket file at a Unix path is removed first. [V14]
  virtual Result<std::unique_ptr<ListenChannel>> bind(const Address& address,
                                                      const ListenOptions& options) = 0;
  /// Takes a bound stream socket, which is closed by the channel; on an error it stays the caller's.
  virtual Result<std::unique_ptr<ListenChannel>> adopt_listener(int descriptor) = 0;
  /// Takes a connected stream socket, which is closed by the channel; on an error it stays the
  /// caller's. Both: bad_file_descriptor for a closed descriptor, not_a_socket, wrong_protocol_type
  /// for a socket that is no stream, device_or_resource_busy for one that a channel owns already.
  virtual Result<std::unique_ptr<StreamChannel>> adopt_stream(int descriptor) = 0;

  /// Takes one end of a pipe: a pipe, a FIFO, a socket or a character device, opened for that
  /// direction. It becomes non-blocking. Errors: bad_file_descriptor for a closed descriptor,
  /// invalid_argument for any other kind of file, operation_not_permitted if it is opened for the other
  /// direction only, device_or_resource_busy as above; it then stays the caller's. [I1, I2]
  virtual Result<std::unique_ptr<StreamChannel>> adopt_pipe(int descriptor, PipeEnd end) = 0;

  /// See simulated_pipe(); nothing if the pipes of this backend are the kernel's.
  virtual std::optional<SimulatedPipe> make_simulated_pipe() { return std::nullopt; }

  /// Opens a datagram socket: create, options, bind, connect. A stale socket file at a Unix path is
  /// removed before bind. [D19, D21]
  virtual DatagramOpened open_datagram(const DatagramPlan& plan) = 0;
  /// Takes a datagram socket; errors as adopt_stream().
  virtual Result<std::unique_ptr<DatagramChannel>> adopt_datagram(int descriptor) = 0;

  /// The family of a socket; unspecified if `descriptor` is none, or of a family we do not know.
  virtual AddressFamily socket_family(int /*descriptor*/) const noexcept {
    return AddressFamily::unspecified;
  }

  /// The peer of a connected socket; empty when it has no name.
  virtual Address peer_address(int descriptor) const = 0;

  /// Starts connecting to `remote`, from `local` unless that is empty.
  virtual ConnectStart connect(const Address& remote, const Address& local,
                               ConnectEvents& events) = 0;

  /// What `host` is if this backend knows names itself; nothing if the system's resolver is to be asked.
  virtual std::optional<KnownName> known_name(std::string_view host) const = 0;
};

std::unique_ptr<Backend> make_epoll_backend();
/// Which io_uring will do.
enum class UringWish : bool {
  any,
  ahead_of_epoll,  ///< on a kernel where it is at least as fast
};
/// Throws std::system_error, which says what is missing, if this system has no such io_uring for us, or this build.
std::unique_ptr<Backend> make_uring_backend(UringWish wish = UringWish::any);
/// On `host`, or in a world of its own.
std::unique_ptr<Backend> make_simulated_backend(const SimulationOptions& options,
                                                const SimulatedHost& host = {});

}  // namespace weir::inline v0::detail
