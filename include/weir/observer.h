#pragma once

#include <weir/address.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/transport.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string_view>

namespace weir::inline v0 {

class AbstractProtocol;
class EventLoop;

/// What a transport is of: both directions of a socket, one end of a pipe, TLS over another transport,
/// datagrams, or a process.
enum class TransportKind : std::uint8_t {
  socket,
  read_pipe,
  write_pipe,
  tls,
  datagram,
  subprocess
};

/// "socket", "read pipe" and so on.
WEIR_API std::string_view to_string(TransportKind kind) noexcept;

/// What passes between a transport and its protocol: first the callbacks, then the calls.
enum class Activity : std::uint8_t {
  connection_made,
  data_received,
  get_buffer,
  buffer_updated,
  eof_received,
  pause_writing,
  resume_writing,
  datagram_received,
  error_received,
  pipe_data_received,
  pipe_connection_lost,
  process_exited,
  connection_lost,

  write,
  writelines,
  write_eof,
  sendto,
  set_write_buffer_limits,
  pause_reading,
  resume_reading,
  set_protocol,
  send_signal,
  close,
  abort,
  sendfile,   ///< has the sending half for a while, in which flow control is not told [K3, K4]
  start_tls,  ///< the protocol was another transport's, which called connection_made() [T23]
};

/// As asyncio writes it: "data_received".
WEIR_API std::string_view to_string(Activity activity) noexcept;

/// Whether the transport calls the protocol, and not the other way round.
constexpr bool is_callback(Activity activity) noexcept {
  return activity <= Activity::connection_lost;
}

/// One callback of a protocol or one call of a transport: at its begin, and again at its end, when more is
/// known. What it points to is valid while an observer is told of it.
struct Occurrence {
  Activity activity{};
  /// Whom a callback is for; of set_protocol(), the new one. To compare, not to use.
  const AbstractProtocol* protocol = nullptr;
  /// What is received or written; of writelines() the first piece.
  std::span<const std::byte> data{};
  /// How many bytes: of data, of what buffer_updated() brings or writelines() takes; at the end of
  /// get_buffer(), of the buffer.
  std::size_t size = 0;
  /// Of connection_lost(), pipe_connection_lost(), error_received() and abort().
  const CloseReason* reason = nullptr;
  /// Of a datagram: where from, or where to.
  const Address* address = nullptr;
  /// Which stream of a process; which signal.
  int number = 0;

  // At the end.
  /// What eof_received() returned; of start_tls, whether the protocol was told to pause writing.
  bool result = false;
  /// It threw.
  bool threw = false;
  /// What a callback threw; null for calls, and for exceptions that leave the loop. [C10]
  std::exception_ptr exception{};
};

/// A transport as its observers see it: only to be asked, and only while they are told something.
class WEIR_API ObservedTransport {
 public:
  ObservedTransport() = default;
  ObservedTransport(const ObservedTransport&) = delete;
  ObservedTransport& operator=(const ObservedTransport&) = delete;
  virtual ~ObservedTransport();

  virtual TransportKind kind() const noexcept = 0;
  virtual bool is_closing() const noexcept = 0;
  virtual bool is_reading() const noexcept = 0;
  virtual std::size_t get_write_buffer_size() const noexcept = 0;
  virtual EffectiveWriteBufferLimits get_write_buffer_limits() const noexcept = 0;
  virtual ExtraInfo get_extra_info(std::string_view name) const = 0;
};

/// Sees what passes between one transport and its protocols, from before connection_made() until the transport
/// is gone, and then is destroyed. begins() and ends() come in pairs, which nest: a write() within
/// data_received() begins after it and ends before it.
///
/// Must not throw, nor call anything of the transport's that a protocol could.
class WEIR_API TransportObserver {
 public:
  TransportObserver() = default;
  TransportObserver(const TransportObserver&) = delete;
  TransportObserver& operator=(const TransportObserver&) = delete;
  virtual ~TransportObserver();

  virtual void begins(const Occurrence& occurrence) noexcept = 0;
  virtual void ends(const Occurrence& occurrence) noexcept = 0;
};

/// Sees the transports of all loops that it is given to, by LoopOptions::observers. One that nobody observes
/// pays nothing for it.
///
/// Threads: those of its loops; one observer of loops on several threads must expect that.
class WEIR_API Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer();

  /// There is a new transport. Returns who is to see what passes there, null for nobody; that one may keep
  /// the two references.
  virtual std::unique_ptr<TransportObserver> observe(const EventLoop& loop,
                                                     const ObservedTransport& transport) = 0;

  /// Something happened that is no transport's: a fault of a simulated network that this observes.
  virtual void happened(std::chrono::steady_clock::time_point when, std::string_view what);
};

}  // namespace weir::inline v0
