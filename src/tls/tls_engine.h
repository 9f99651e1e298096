#pragma once

#include <weir/error.h>
#include <weir/tls.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace weir::inline v0::detail {

using ConstBytes = std::span<const std::byte>;

enum class TlsSide : bool { client, server };

/// One end of a TLS connection as a machine: bytes in, bytes out; no loop, no socket, no clock.
///
///     state        left by                          what may be called
///     handshaking  handshake() done, or failed      feed, handshake, shut_down
///     open         the peer's close_notify, ours    feed, read, write, shut_down
///     failed       never                            nothing brings anything any more
///
/// Either direction ends by itself: read() says `ended` once the peer's close_notify is reached, and
/// write() takes nothing once shut_down() was called. [T9, T12, T13]
///
/// What it wants to send is appended to `output`, by every call that may produce something: the caller
/// sends and clears that. Nothing throws but the constructor: a failure is kept, see failure().
class TlsEngine {
 public:
  struct Options {
    TlsSide side = TlsSide::client;
    /// For SNI, and what the certificate must be for; empty: neither. An address is checked, not sent. [T28]
    std::string server_hostname{};
  };

  /// Throws TlsError if the TLS library refuses the options.
  TlsEngine(const TlsContext& context, const Options& options, std::vector<std::byte>& output);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  ~TlsEngine();

  enum class Status : std::uint8_t {
    ok,          ///< did all that was asked
    wants_input, ///< needs more input: none of what was fed is left
    ended,       ///< the peer's close_notify: nothing follows
    failed,      ///< see failure()
  };

  /// `input` is what arrived; read in place, so it must stay until rest() is empty or was taken away by
  /// feeding something else. Only when rest() is empty, or with a span that begins with rest()'s bytes.
  void feed(ConstBytes input) noexcept { input_ = input; }
  /// What was fed and not used yet.
  ConstBytes rest() const noexcept { return input_; }

  /// Goes on with the handshake, as far as the input allows. After `failed` an alert may be in output.
  Status handshake() noexcept;
  bool is_handshake_done() const noexcept;

  struct Read {
    std::size_t count = 0;         ///< bytes put at the start of the buffer
    Status status = Status::ok;    ///< ok: the buffer is full
  };
  /// Decrypts into `buffer`, across records, until it is full or the input is used up. [T19: key updates,
  /// tickets and renegotiation pass without notice.]
  Read read(std::span<std::byte> buffer) noexcept;
  /// Whether read() may bring something without more input.
  bool has_pending() const noexcept;

  /// Encrypts all of `data`, as few records as can be. False, and nothing more is written, if it failed.
  bool write(ConstBytes data) noexcept;

  /// Our close_notify goes to output; once. [T9]
  void shut_down() noexcept;
  bool is_shut_down() const noexcept { return shut_down_; }
  /// The peer's close_notify was read.
  bool is_peer_shut_down() const noexcept { return peer_shut_down_; }

  /// Why it failed: a TlsError, or a CertificateError. Null while it did not.
  const std::exception_ptr& failure() const noexcept { return failure_; }

  /// What get_extra_info() tells: "cipher", "peercert", "compression", "alpn", "tls_version",
  /// "session_reused", "ssl_object" (the library's handle). [X4]
  ExtraInfo info(std::string_view name) const;
  const TlsContext& context() const noexcept { return context_; }

 private:
  // (to be filled in by its author: the SSL object, the custom BIO that reads input_ and appends to
  // output_, the table of states)
  TlsContext context_;
  std::vector<std::byte>& output_;
  ConstBytes input_{};
  std::exception_ptr failure_;
  bool shut_down_ = false;
  bool peer_shut_down_ = false;
};

}  // namespace weir::inline v0::detail
