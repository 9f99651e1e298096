#pragma once

#include <weir/error.h>
#include <weir/protocol.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "backend.h"
#include "lifecycle.h"

namespace weir::inline v0::detail {

/// What a stream transport is of: both directions of a socket, or one end of a pipe.
enum class StreamRole : std::uint8_t { socket, read_pipe, write_pipe };

/// The receiving half of a stream: pausing, the end of the stream, and either kind of protocol.
///
/// Its events return why the connection must end, if it must.
class ReadSide {
 public:
  ReadSide(Lifecycle& lifecycle, StreamChannel& channel, StreamRole role,
           const AnyProtocol& protocol) noexcept
      : lifecycle_(lifecycle), channel_(channel), role_(role) {
    set_protocol(protocol);
  }

  /// Who is told; the lifecycle owns it.
  void set_protocol(const AnyProtocol& protocol) noexcept {
    stream_ = protocol.stream();
    buffered_ = protocol.buffered();
  }

  /// After connection_made(), which may have paused or closed. [S10]
  void start() noexcept;
  void pause() noexcept;
  void resume() noexcept;
  bool reading() const noexcept { return !paused_ && !lifecycle_.closing(); }

  struct Target {
    std::optional<std::span<std::byte>> buffer;
    CloseReason failure{};
  };
  [[nodiscard]] Target receive_buffer() noexcept;
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

  Lifecycle& lifecycle_;
  StreamChannel& channel_;
  Protocol* stream_ = nullptr;            ///< the protocol if it takes bytes by data_received()
  BufferedProtocol* buffered_ = nullptr;  ///< the protocol if it provides its own buffers
  const StreamRole role_;
  bool started_ = false;
  bool paused_ = false;
  bool ended_ = false;
};

}  // namespace weir::inline v0::detail
