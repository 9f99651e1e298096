#pragma once

#include <weir/address.h>
#include <weir/simulation.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
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
  /// `bytes`, never none, were received: into what receive_buffer() gave, or the backend's own buffer.
  virtual void on_received(ConstBytes bytes) noexcept = 0;
  /// The peer ended its sending side. At most once.
  virtual void on_eof() noexcept = 0;
  /// Asked while sending: the next pieces to send, as many as there are and fit. Returns how many.
  virtual std::size_t unsent(std::span<ConstBytes> pieces) noexcept = 0;
  /// The first `count` bytes of what unsent() gave left; never 0. When nothing is unsent any more the
  /// channel stops sending by itself.
  virtual void on_sent(std::size_t count) noexcept = 0;
  /// The connection broke.
  virtual void on_failed(std::error_code error) noexcept = 0;
  /// close() is complete.
  virtual void on_closed() noexcept = 0;

 protected:
  ~StreamEvents() = default;
};

/// How much a try_send() took, and the error that stopped it, if one did (would-block is none). An
/// error here is not repeated as on_failed(): the caller of write() is the first to know. [S26]
struct SendResult {
  std::size_t sent = 0;
  std::error_code error{};
};

/// One connected byte stream.
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
  /// Sends any prefix of `pieces` that can go now, even none. Only while nothing is unsent: before
  /// start_sending(), or again from the on_sent() that told of the last byte.
  virtual SendResult try_send(std::span<const ConstBytes> pieces) noexcept = 0;
  /// From now on, whenever there is room: unsent(), send, on_sent(); until nothing is unsent.
  virtual void start_sending() noexcept = 0;
  /// Ends the sending side. Only while nothing is unsent. Its failure is that of the connection, which
  /// receiving or sending tells.
  virtual void shutdown_send() noexcept = 0;
  /// Ends everything; on_closed() follows from dispatch().
  virtual void close() noexcept = 0;

  virtual Address local_address() const = 0;
  /// The kernel's number for it, -1 if there is none.
  virtual int descriptor() const noexcept = 0;
};

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

/// Which step of connect() failed before there was anything to wait for.
enum class ConnectStep : std::uint8_t { socket, bind, connect };

struct ConnectStart {
  std::unique_ptr<ConnectAttempt> attempt;  ///< null if it failed at once
  ConnectStep step = ConnectStep::connect;
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

/// One kernel, or a pretended one.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

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

  /// Ends the wait() that is running, or the next one. From any thread.
  virtual void wake() noexcept = 0;

  /// See EventLoop::poll_descriptor().
  virtual int poll_descriptor() const noexcept = 0;

  /// True if wait() would not wait: a host's loop must not sleep. [run_once]
  virtual bool has_pending_events() const noexcept = 0;

  virtual std::unique_ptr<DescriptorWatch> watch(int descriptor, WatchEvents& events) = 0;

  /// True while a channel of this backend uses `descriptor`. [L30]
  virtual bool owns(int descriptor) const noexcept = 0;

  /// Binds a new stream socket.
  virtual Result<std::unique_ptr<ListenChannel>> bind(const Address& address,
                                                      const ListenOptions& options) = 0;
  /// Takes a bound stream socket, which is closed by the channel; on an error it stays the caller's.
  virtual Result<std::unique_ptr<ListenChannel>> adopt_listener(int descriptor) = 0;
  /// Takes a connected stream socket, which is closed by the channel; on an error it stays the
  /// caller's. Both: bad_file_descriptor for a closed descriptor, not_a_socket, wrong_protocol_type
  /// for a socket that is no stream, device_or_resource_busy for one that a channel owns already.
  virtual Result<std::unique_ptr<StreamChannel>> adopt_stream(int descriptor) = 0;

  /// The peer of a connected socket; empty when it has no name.
  virtual Address peer_address(int descriptor) const = 0;

  /// Starts connecting to `remote`, from `local` unless that is empty.
  virtual ConnectStart connect(const Address& remote, const Address& local,
                               ConnectEvents& events) = 0;

  /// The addresses of `host` if this backend knows names itself (none: no such name); nothing if the
  /// system's resolver is to be asked.
  virtual std::optional<std::vector<Address>> known_addresses(std::string_view host) const = 0;
};

std::unique_ptr<Backend> make_epoll_backend();
std::unique_ptr<Backend> make_simulated_backend(const SimulationOptions& options);

}  // namespace weir::inline v0::detail
