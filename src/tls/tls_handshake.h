#pragma once

#include <weir/callback.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>

#include "loop.h"
#include "stream_transport.h"
#include "tls_buffers.h"
#include "tls_engine.h"
#include "tls_plan.h"
#include "write_lock.h"

namespace weir::inline v0::detail {

/// The handshake of TLS: the protocol of the transport below until there is one above.
///
///     running -> done      a StreamTransport over a TlsChannel, which has the transport below from then on
///            \-> failed    what is below is aborted
///            \-> cancelled the same, and nobody is told
///
/// Its user's protocol hears nothing before connection_made() by the transport above, [B3] unless the one
/// below was its own before: then it is told connection_lost() in any case, once. [T25]
class TlsHandshake final : public Protocol, private WriteLock {
 public:
  /// For a new transport, whose first protocol it is. `ready` is told of the transport above as soon as
  /// `protocol` was, or why there is none; it may be empty. Throws TlsError if TLS refuses the plan.
  TlsHandshake(Loop& loop, const TlsPlan& plan, AnyProtocol protocol, TransportReady ready)
      : TlsHandshake(loop, plan, std::move(protocol), std::move(ready), 0) {}
  TlsHandshake(const TlsHandshake&) = delete;
  TlsHandshake& operator=(const TlsHandshake&) = delete;
  ~TlsHandshake() override { timer_.cancel(); }

  /// The same over `below`, whose protocol is `protocol` so far: of a socket, or TLS itself.
  static std::shared_ptr<TlsHandshake> take_over(Loop& loop, const TlsPlan& plan,
                                                 StreamTransport& below, AnyProtocol protocol,
                                                 TransportReady ready);

  /// Ends it without a word, or the transport that came of it.
  void cancel();

  void connection_made(Transport below) override;
  void data_received(std::span<const std::byte> data) override;
  bool eof_received() override;
  void connection_lost(const CloseReason& reason) override;

 private:
  enum class State : std::uint8_t { running, over };

  TlsHandshake(Loop& loop, const TlsPlan& plan, AnyProtocol protocol, TransportReady ready,
               std::size_t nesting);

  // What has been taken over is this one's alone, to its end: what others wrote would go in the clear, and
  // another protocol would hear of the end instead. [T23-T25]
  const char* activity() const noexcept override { return "start_tls"; }
  bool has_all() const noexcept override { return true; }
  void on_resumed() noexcept override {}
  void on_drained() noexcept override {}
  void on_lost(const CloseReason&) noexcept override {}
  void unlock();

  void go_on();
  void send();
  void succeed();
  void fail(const std::exception_ptr& error);
  void leave(const CloseReason& reason);
  void report(const std::exception_ptr& error, const std::shared_ptr<BaseProtocol>& protocol);

  Loop& loop_;
  const std::size_t nesting_;
  TlsBuffers& buffers_;
  std::unique_ptr<TlsEngine> engine_;
  const std::chrono::nanoseconds timeout_;
  const std::chrono::nanoseconds shutdown_timeout_;
  AnyProtocol protocol_;  ///< of the transport above
  TransportReady ready_;
  Transport below_{};
  Transport above_{};  ///< once done
  TimerHandle timer_;
  State state_ = State::running;
  bool takes_over_ = false;       ///< `below_` was the transport of `protocol_`
  bool protocol_paused_ = false;  ///< by `below_`, before it was taken over
  bool locked_ = false;
};

}  // namespace weir::inline v0::detail
