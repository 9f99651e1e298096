#pragma once

#include <weir/error.h>
#include <weir/transport.h>

#include <cstddef>
#include <optional>
#include <span>

#include "backend.h"
#include "lifecycle.h"

namespace weir::inline v0::detail {

/// The receiving half of a stream: pausing, the end of the stream, and either kind of protocol.
///
/// Its events return why the connection must end, if it must.
class ReadSide {
 public:
  ReadSide(Lifecycle& lifecycle, StreamChannel& channel) noexcept
      : lifecycle_(lifecycle), channel_(channel) {}

  /// After connection_made(), which may have paused or closed. [S10]
  void start() noexcept;
  void pause() noexcept;
  void resume() noexcept;
  bool reading() const noexcept { return !paused_ && !lifecycle_.closing(); }

  struct Target {
    std::optional<std::span<std::byte>> buffer;
    CloseReason failure{};
  };
  [[nodiscard]] Target receive_buffer(Transport transport) noexcept;
  [[nodiscard]] CloseReason received(Transport transport, ConstBytes bytes) noexcept;

  enum class AfterEof : bool { close, keep_open };
  struct Eof {
    AfterEof then = AfterEof::close;
    CloseReason failure{};
  };
  [[nodiscard]] Eof eof(Transport transport) noexcept;

 private:
  Lifecycle& lifecycle_;
  StreamChannel& channel_;
  bool started_ = false;
  bool paused_ = false;
  bool ended_ = false;
};

}  // namespace weir::inline v0::detail
