#pragma once

#include <weir/address.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend.h"
#include "flow_control.h"
#include "loop.h"
#include "stream_transport.h"
#include "tls_buffers.h"
#include "tls_engine.h"

namespace weir::inline v0::detail {

class TlsChannel;

/// The protocol of the transport below a TLS connection. It may outlive the channel that it tells.
class TlsBelow final : public Protocol {
 public:
  explicit TlsBelow(TlsChannel& channel) noexcept : channel_(&channel) {}

  void data_received(std::span<const std::byte> data) override;
  bool eof_received() override;
  void pause_writing() override;
  void resume_writing() override;
  void connection_lost(const CloseReason& reason) override;

  /// The transport above; null once it is gone.
  StreamTransport* above() const noexcept { return channel_ != nullptr ? above_ : nullptr; }
  void set_above(StreamTransport& above) noexcept { above_ = &above; }

 private:
  friend class TlsChannel;

  TlsChannel* channel_;  ///< null once it is gone
  StreamTransport* above_ = nullptr;
};

/// A TLS connection once its handshake is done, as the channel of the transport above: the bytes of that
/// one, encrypted, are those of the transport below, which it knows by its public handle only.
///
///     state      entered by                     what it does
///     open       the end of the handshake       encrypts, decrypts
///     finishing  finish()                       sends the rest, then close_notify; discards what comes,
///                                               until the peer's close_notify; closes what is below [T9]
///     over       the end below, a failure,      nothing
///                finish() that took too long
///
/// What arrives while nobody receives is kept as it came, and the transport below paused if it becomes
/// much. [T18] While that one is write-paused nothing is encrypted: what is unsent stays with the transport
/// above. [T16]
class TlsChannel final : public StreamChannel, private TlsFacet {
 public:
  /// What the handshake leaves behind.
  struct Parts {
    std::unique_ptr<TlsEngine> engine;  ///< its output is that of `buffers`
    TlsBuffers& buffers;
    std::size_t nesting = 0;
    Transport below{};  ///< not paused
    bool below_paused_writing = false;
    std::chrono::nanoseconds shutdown_timeout{};
  };
  /// Makes a TlsBelow the protocol of the transport below.
  TlsChannel(Loop& loop, Parts parts);
  ~TlsChannel() override { below_protocol_->channel_ = nullptr; }

  TlsBelow& below_protocol() const noexcept { return *below_protocol_; }

  void attach(StreamEvents& events) noexcept override { events_ = &events; }
  void start_receiving() noexcept override;
  void stop_receiving() noexcept override { wanted_ = wanted_later_ = receiving_ = false; }
  SendResult try_send(std::span<const ConstBytes> pieces) noexcept override;
  void start_sending() noexcept override;
  /// The transport above does not. [T20]
  void shutdown_send() noexcept override {}
  void stop_sending() noexcept override;
  void finish() noexcept override;
  void close() noexcept override;
  Address local_address() const override;
  int descriptor() const noexcept override { return -1; }
  TlsFacet* tls() noexcept override { return this; }

 private:
  friend class TlsBelow;
  enum class State : std::uint8_t { open, finishing, over };

  // What TlsBelow tells.
  void received(ConstBytes bytes) noexcept;
  void below_ended() noexcept;
  void below_paused() noexcept { below_paused_writing_ = true; }
  void below_resumed() noexcept;
  void below_lost(const CloseReason& reason) noexcept;

  ExtraInfo extra_info(std::string_view name) const override;
  bool is_below_closing() const override { return below_.is_closing(); }
  void set_read_buffer_limits(ReadBufferLimits limits) override;
  EffectiveReadBufferLimits read_buffer_limits() const noexcept override {
    return read_flow_.limits();
  }
  std::size_t read_buffer_size() const noexcept override { return engine_->rest().size(); }
  std::size_t nesting() const noexcept override { return nesting_; }

  void serve_later();
  void serve() noexcept;
  void read() noexcept;
  bool has_data() noexcept;
  void deliver() noexcept;
  void discard() noexcept;
  void settle_input() noexcept;
  void keep_rest();
  void settle_reading();

  std::size_t encrypt(std::span<const ConstBytes> pieces, std::size_t skipped) noexcept;
  void send() noexcept;
  void end_sending() noexcept;
  void close_below_if_done();
  void send_answers() noexcept;
  void flush() noexcept;
  void end(const CloseReason& reason) noexcept;

  Loop& loop_;
  std::unique_ptr<TlsEngine> engine_;
  TlsBuffers& buffers_;
  const Transport below_;
  const std::shared_ptr<TlsBelow> below_protocol_;
  StreamEvents* events_ = nullptr;
  /// Received and not decrypted; what of it was read meanwhile is at its front.
  std::vector<std::byte> kept_;
  FlowControl read_flow_;           ///< of the rest of `kept_`
  std::size_t unread_answers_ = 0;  ///< since what is below was write-paused
  TimerHandle shutdown_timer_;
  const std::chrono::nanoseconds shutdown_timeout_;
  const std::size_t nesting_;
  State state_ = State::open;
  bool wanted_ = false;           ///< start_receiving() was called
  bool wanted_later_ = false;     ///< not before the next turn of the loop
  bool receiving_ = false;        ///< and that has begun
  bool sending_ = false;          ///< the transport above has something unsent
  bool waits_for_input_ = false;  ///< the engine must read before it writes
  bool serving_soon_ = false;
  bool eof_told_ = false;
  bool below_ended_ = false;
  bool below_gone_ = false;  ///< regularly, before all was read
  /// All was sent, but for our close_notify, to a peer that has ended.
  bool lacks_only_the_end_ = false;
  bool below_paused_writing_;
};

}  // namespace weir::inline v0::detail
