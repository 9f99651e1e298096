#pragma once

#include <weir/address.h>
#include <weir/buffer.h>
#include <weir/descriptor.h>
#include <weir/detail/slot.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/tls_context.h>
#include <weir/tls_info.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace weir::inline v0 {

class AnyProtocol;
class BaseProtocol;

namespace detail {
class Lifecycle;
class StreamTransport;
}  // namespace detail

/// The marks of write flow control, as they are set. Units: bytes. [F2]
/// Unset: high is 64 KiB, over TLS 512 KiB, or 4 x low; low is high / 4. [F1]
struct WriteBufferLimits {
  std::optional<std::size_t> high{};
  std::optional<std::size_t> low{};
};

/// The marks of write flow control, as they are: (low, high), in asyncio's order. Bytes. [F4]
struct EffectiveWriteBufferLimits {
  std::size_t low = 0;
  std::size_t high = 0;
  friend bool operator==(const EffectiveWriteBufferLimits&,
                         const EffectiveWriteBufferLimits&) = default;
};

/// The marks of what a TLS transport holds undecrypted while its protocol does not read, likewise. Bytes.
/// Unset: high is 256 KiB, or 4 x low; low is high / 4. [T18]
using ReadBufferLimits = WriteBufferLimits;
using EffectiveReadBufferLimits = EffectiveWriteBufferLimits;

/// The socket of a transport or a server, to look at: for getsockopt and the like. Never read, write
/// or close it. The number is valid until connection_lost() has returned. [X1]
struct SocketView {
  int descriptor = -1;
  Address sockname;
  friend bool operator==(const SocketView&, const SocketView&) = default;
};

/// The pipe of a transport, to look at. Never read, write or close it. The number is valid until
/// connection_lost() has returned. [X3]
struct PipeView {
  int descriptor = -1;
  friend bool operator==(const PipeView&, const PipeView&) = default;
};

/// Who is at the other end of a Unix socket: as it was when that end connected, or listened.
struct PeerCredentials {
  std::int64_t process_id = 0;
  std::uint32_t user_id = 0;
  std::uint32_t group_id = 0;
  friend bool operator==(const PeerCredentials&, const PeerCredentials&) = default;
};

/// A process and the pipes to it, to look at. Never read, write or close them. [X3]
struct SubprocessView {
  int pid = 0;
  /// This process's ends of the pipes of stdin, stdout and stderr; -1 where there is none, or no more.
  std::array<int, 3> pipes{-1, -1, -1};
  friend bool operator==(const SubprocessView&, const SubprocessView&) = default;
};

/// An object of a library below, to use with that library: its own pointer type is behind `pointer`.
/// Of a TLS connection OpenSSL's SSL*, valid until connection_lost() has returned. [X4]
struct NativeHandle {
  void* pointer = nullptr;
  friend bool operator==(const NativeHandle&, const NativeHandle&) = default;
};

/// What get_extra_info() answers; std::monostate when there is no such information.
using ExtraInfo = std::variant<std::monostate, bool, std::int64_t, std::string, Address, SocketView,
                               PipeView, PeerCredentials, SubprocessView, TlsContext, TlsCipher,
                               PeerCertificate, NativeHandle>;

/// A connection as its user holds it: a name for a transport that the loop owns. Of a stream socket
/// it has both directions; a read pipe only reads, a write pipe only writes, and what the other
/// direction is asked for throws UnsupportedOperationError. [I13]
///
/// Copying is free and keeps nothing alive. Once connection_lost() has returned, every copy behaves
/// as a closed transport, also when the loop is gone: writes are ignored and is_closing() is true.
/// So does a default-constructed one. [B17, C7]
///
/// Threads: copy and destroy anywhere; call only on the loop's thread (debug builds check). From
/// elsewhere, carry a copy into EventLoop::call_soon_threadsafe().
class WEIR_API Transport {
 public:
  Transport() noexcept = default;

  /// Queues `data`, sending at once what the kernel takes; never blocks. The bytes are copied if
  /// they cannot be sent at once: `data` may go when the call returns. [S22, C6]
  /// May call pause_writing() before returning. [F5, F8]
  /// Throws WrongStateError after write_eof(). [S25]
  void write(std::span<const std::byte> data) const;
  void write(std::string_view text) const { write(as_bytes(text)); }

  /// As above, without copying: what cannot be sent at once is kept as it is, and released once it has
  /// been sent or dropped. [C6]
  void write(Buffer data) const;

  /// Writes each element in turn, with one system call where it can, and at most one pause. [S24]
  /// Throws WrongStateError after write_eof().
  void writelines(std::span<const std::span<const std::byte>> lines) const;
  void writelines(std::initializer_list<std::span<const std::byte>> lines) const;

  /// Ends the sending side once everything written has been sent; receiving goes on. Nothing if
  /// repeated or closing. [S25] On a write pipe this is close(). [I12] TLS has no such thing:
  /// UnsupportedOperationError. [T20]
  void write_eof() const;
  bool can_write_eof() const;

  /// Closes: no more data is received, what was written is still sent, then connection_lost() comes
  /// from the loop. Sending may last for ever if the peer never reads; abort() ends it. [S14, S15]
  /// Over TLS the peer is told, and its answer awaited, for as long as the opener's tls_shutdown_timeout
  /// says: what is not over then ends with timed_out. What is written meanwhile is dropped. [T9, T21]
  void close() const;

  /// Closes at once, dropping what is not sent. connection_lost(reason) comes from the loop. [S17]
  /// A read pipe has nothing to drop and no abort(): UnsupportedOperationError. [I13]
  void abort(const CloseReason& reason = {}) const;

  /// True from the first close(), abort() or fatal error on, for ever. [C9]
  bool is_closing() const;

  /// No data_received(), get_buffer() or eof_received() after this returns, until resume_reading().
  /// Both may be repeated, and do nothing on a closing transport. [S8, S9]
  void pause_reading() const;
  /// Never delivers before it returns. [S11]
  void resume_reading() const;
  /// Not paused and not closing. [S12]
  bool is_reading() const;

  /// Sets, in bytes, when pause_writing() and resume_writing() are called: once the queue is
  /// strictly over `high`, and once it is back at `low` or under. May call pause_writing() before
  /// returning. [F2, F5, F6, F14]
  /// Throws std::invalid_argument, changing nothing, if low > high. [F3]
  void set_write_buffer_limits(WriteBufferLimits limits = {}) const;
  EffectiveWriteBufferLimits get_write_buffer_limits() const;

  /// Bytes written and not yet given to the kernel; over TLS, not yet encrypted. [F18, T16]
  std::size_t get_write_buffer_size() const;

  /// Of TLS, what is held undecrypted while reading is paused: over `high` the connection below is paused,
  /// at `low` resumed. Throws as set_write_buffer_limits(), and UnsupportedOperationError if this is not
  /// TLS, for then nothing is held. [T18]
  void set_read_buffer_limits(ReadBufferLimits limits = {}) const;
  EffectiveReadBufferLimits get_read_buffer_limits() const;
  std::size_t get_read_buffer_size() const;

  /// What is known of the connection: of a socket "sockname" and "peername" (Address) and "socket"
  /// (SocketView), of a Unix one also "peercred" (PeerCredentials), of a pipe "pipe" (PipeView);
  /// `fallback` for any other name, and once connection_lost() has returned. [C13, X1, X3, B7]
  ///
  /// TLS adds to what the connection below has: "sslcontext" (TlsContext), "peercert" (PeerCertificate),
  /// "cipher" (TlsCipher), "tls_version", "compression" and "alpn" (std::string), "session_reused" (bool),
  /// "ssl_object" (NativeHandle), and "tls_clean_shutdown" (bool): whether the peer has ended the stream
  /// itself, so that nobody else cut it off. [X4, T14]
  ExtraInfo get_extra_info(std::string_view name, ExtraInfo fallback = {}) const;

  /// The same for a known type: get_extra_info<Address>("peername").
  template <class T>
  std::optional<T> get_extra_info(std::string_view name) const {
    ExtraInfo info = get_extra_info(name, ExtraInfo());
    if (T* value = std::get_if<T>(&info)) return std::move(*value);
    return std::nullopt;
  }

  /// As write(), and passes `descriptors` to the process at the other end of a Unix socket: duplicates,
  /// so these stay the caller's. They arrive no later than the first byte of `data`, of which there must
  /// be one at least.
  /// Throws UnsupportedOperationError if this is no Unix socket, std::invalid_argument without data or
  /// for more than 253 descriptors, std::system_error if one of them is not open; so does a simulation,
  /// which has none.
  void write_with_descriptors(std::span<const std::byte> data,
                              std::span<const int> descriptors) const;

  /// Whether descriptors that the peer passes are kept for take_descriptors(); at first they are closed
  /// as they arrive. Throws UnsupportedOperationError if this is no Unix socket.
  void receive_descriptors(bool enabled) const;
  /// The descriptors that came with the bytes of the data_received() or buffer_updated() that is
  /// running, in the order they were passed; close-on-exec. Those not taken when it returns are closed.
  std::vector<Descriptor> take_descriptors() const;

  /// Hands the connection to another protocol, at once: the next callback goes to it, and it gets no
  /// connection_made(). The old one gets nothing more; if the transport was its last owner it is
  /// destroyed later, from the loop, never under its own feet. [B12, U10]
  /// Throws std::invalid_argument for no protocol.
  void set_protocol(AnyProtocol protocol) const;

  /// The protocol, empty once connection_lost() has returned. [B17]
  std::shared_ptr<BaseProtocol> get_protocol() const;

  friend bool operator==(const Transport&, const Transport&) = default;

 private:
  friend class detail::StreamTransport;
  friend class detail::Lifecycle;
  friend struct std::hash<Transport>;
  explicit Transport(detail::SlotRef ref) noexcept : ref_(ref) {}

  detail::SlotRef ref_;
};

}  // namespace weir::inline v0

/// So that a chat room can keep its transports in an unordered set.
template <>
struct std::hash<weir::Transport> {
  std::size_t operator()(const weir::Transport& transport) const noexcept {
    return std::hash<void*>()(transport.ref_.slot) ^
           (static_cast<std::size_t>(transport.ref_.generation) * 0x9E3779B97F4A7C15U);
  }
};
