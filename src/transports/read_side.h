#pragma once

#include <weir/error.h>
#include <weir/protocol.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "backend.h"
#include "lifecycle.h"
#include "receive_switch.h"

namespace weir::inline v0::detail {

/// What a stream transport is of: both directions of a socket, one end of a pipe, or TLS over another.
enum class StreamRole : std::uint8_t { socket, read_pipe, write_pipe, tls };

/// The receiving half of a stream: pausing, the end of the stream, and either kind of protocol.
///
/// Its events return why the connection must end, if it must.
class ReadSide {
 public:
  ReadSide(Lifecycle& lifecycle, StreamChannel& channel, StreamRole role,
           const AnyProtocol& protocol) noexcept
      : switch_(lifecycle, channel), role_(role) {
    set_protocol(protocol);
  }

  StreamRole role() const noexcept { return role_; }

  /// Who is told; the lifecycle owns it.
  void set_protocol(const AnyProtocol& protocol) noexcept {
    stream_ = protocol.stream();
    buffered_ = protocol.buffered();
  }

  void start() noexcept { switch_.start(); }
  void pause() noexcept { switch_.pause(); }
  void resume() noexcept { switch_.resume(); }
  bool reading() const noexcept { return switch_.reading(); }
  bool paused() const noexcept { return switch_.paused(); }

  struct Target {
    std::optional<std::span<std::byte>> buffer;
    CloseReason failure{};
  };
  [[nodiscard]] Target receive_buffer() noexcept;
  bool has_own_buffer() const noexcept { return buffered_ != nullptr; }
  [[nodiscard]] CloseReason received(ConstBytes bytes) noexcept;

  enum class AfterEof : bool { close, keep_open };
  struct Eof {
    AfterEof then = AfterEof::close;
    CloseReason failure{};
  };
  [[nodiscard]] Eof eof() noexcept;
  /// eof_received() of a read pipe, which closes in any case: what it returns is ignored, and what it
  /// throws is reported. [I5, I6]
  void pipe_eof() noexcept;

 private:
  bool call_eof_received();
  const AbstractProtocol* protocol() const noexcept;

  ReceiveSwitch<StreamChannel> switch_;
  Protocol* stream_ = nullptr;            ///< the protocol if it takes bytes by data_received()
  BufferedProtocol* buffered_ = nullptr;  ///< the protocol if it provides its own buffers
  const StreamRole role_;
};

}  // namespace weir::inline v0::detail
