#pragma once

#include <weir/tls.h>
#include <weir/transport.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "openssl_handles.h"
#include "tls_bio.h"

namespace weir::inline v0::detail {

using ConstBytes = std::span<const std::byte>;

/// One end of a TLS connection as a machine: bytes in, bytes out; no loop, no socket, no clock.
///
///     state        left when                      what may be called
///     handshaking  handshake() is ok or failed    feed, handshake, shut_down
///     open         anything failed                feed, read, write, shut_down
///     failed       never                          failure; all others do nothing
///
/// Either direction ends by itself: read() says `ended` once the peer's close_notify is reached, and
/// write() takes nothing once shut_down() was called. [T9, T12, T13] That the stream was cut off shows in
/// read() never having said so. [T14]
///
/// What it wants to send is appended to `output`, by every call that may produce something: the caller
/// sends and clears that. Nothing throws but the constructor: a failure is kept, see failure(). After any
/// failure an alert for the peer may be in output.
///
/// Idle, it owns no buffer: what arrived of an unfinished record (16 KiB) is all that is ever kept.
class TlsEngine {
 public:
  /// One of a client or of a server, as the context is. `server_hostname` is for clients: for SNI, and whom
  /// the certificate must be of; empty: neither. An address is checked, not sent. [T28]
  /// Throws TlsError for a name that cannot be one, or without memory.
  TlsEngine(TlsContext context, const std::string& server_hostname, std::vector<std::byte>& output);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  ~TlsEngine();

  enum class Status : std::uint8_t {
    ok,           ///< did all that was asked
    wants_input,  ///< needs more input, or, if some is left, another go
    ended,        ///< nothing more in this direction: close_notify was read, or written
    failed,       ///< see failure()
  };

  /// `input` is what arrived; read in place, so it must stay until rest() is empty or was taken away by
  /// feeding something else. Only when rest() is empty, or with a span that begins with rest()'s bytes.
  /// Once read() said `ended`, or something failed, it is dropped.
  void feed(ConstBytes input) noexcept {
    if (state_ != State::failed && !peer_shut_down_) wire_.input = input;
  }
  /// What was fed and not used yet.
  ConstBytes rest() const noexcept { return wire_.input; }

  /// Goes on with the handshake, as far as the input allows: ok, wants_input, or failed, also if the peer
  /// sent close_notify. What was fed behind the end of the handshake stays for read().
  Status handshake() noexcept;
  bool is_handshake_done() const noexcept { return state_ == State::open; }

  struct Read {
    std::size_t count = 0;       ///< bytes put at the start of the buffer, whatever the status
    Status status = Status::ok;  ///< ok: the buffer is full
  };
  /// Decrypts into `buffer`, across records, until it is full or the input is used up. Key updates and
  /// tickets pass without notice, attempts to renegotiate are refused. [T19] A flood of such records is left
  /// for another go, so that others have their turn. [S3]
  Read read(std::span<std::byte> buffer) noexcept;
  /// Whether read() brings bytes now. Decrypts a record to know, and may send as read() does. After false
  /// either has_pending(), and there is to be another go; or all that was fed is used up; or there is an end:
  /// see is_peer_shut_down(), failure().
  bool has_data() noexcept;
  /// Whether read() may bring something, be it the end, without more input.
  bool has_pending() const noexcept;

  /// Encrypts `data`, in as few records as can be: all of it, or none unless `ok`. wants_input: before the
  /// handshake is done, and (seldom) while a message of the peer to the TLS library has come in part; to be
  /// repeated once more was read. `ended` after shut_down(). [T19]
  Status write(ConstBytes data) noexcept;

  /// Our close_notify goes to output; once. [T9] During the handshake nothing is sent, and it cannot go on.
  /// While a message of the peer has come in part it is sent by the read() that has the rest of it.
  void shut_down() noexcept;
  bool is_shut_down() const noexcept { return shut_down_; }
  /// The peer's close_notify was read.
  bool is_peer_shut_down() const noexcept { return peer_shut_down_; }

  /// Why it failed: a TlsError, or a CertificateError. Null while it did not.
  const std::exception_ptr& failure() const noexcept { return failure_; }

  /// What get_extra_info() tells: "sslcontext" and "ssl_object" always, once the handshake is done also
  /// "cipher", "peercert", "compression", "alpn", "tls_version", "session_reused" and
  /// "tls_clean_shutdown". [X4, T14]
  ExtraInfo info(std::string_view name) const;

 private:
  enum class State : std::uint8_t { handshaking, open, failed };
  /// Twice the longest record.
  static constexpr std::size_t one_go = std::size_t{33} * 1024;

  void expect(const std::string& server_hostname);
  void look_at_start() noexcept;
  std::string_view start() const noexcept { return {start_.data(), start_size_}; }
  template <class Call>
  Status attempt(Call call, std::size_t budget = one_go) noexcept;
  Status fail(std::exception_ptr failure) noexcept;
  void send_close_notify() noexcept;

  TlsContext context_;
  TlsWire wire_;
  SslPtr ssl_;
  std::exception_ptr failure_;
  /// What the peer began with, which tells what it is if that is no TLS.
  std::array<char, 5> start_{};
  std::uint8_t start_size_ = 0;
  State state_ = State::handshaking;
  /// The library has decrypted more of a record than was asked for: SSL_pending(), which is slow.
  bool holds_some_ = false;
  bool shut_down_ = false;
  bool peer_shut_down_ = false;
};

}  // namespace weir::inline v0::detail
