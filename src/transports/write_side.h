#pragma once

#include <weir/buffer.h>
#include <weir/error.h>
#include <weir/transport.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "backend.h"
#include "byte_queue.h"
#include "flow_control.h"
#include "lifecycle.h"

namespace weir::inline v0::detail {

/// The sending half of a stream: sends at once what the kernel takes and queues the rest, tells the
/// protocol when to pause, and does a pending end of stream once the queue is empty.
///
/// A failure to send is returned: the reason why the connection must end. [S26]
class WriteSide {
 public:
  WriteSide(Lifecycle& lifecycle, StreamChannel& channel) noexcept;

  [[nodiscard]] CloseReason write(Transport transport, ConstBytes data);
  [[nodiscard]] CloseReason write(Transport transport, Buffer data);
  [[nodiscard]] CloseReason writelines(Transport transport, std::span<const ConstBytes> lines);
  void write_eof() noexcept;

  void set_limits(Transport transport, WriteBufferLimits limits);
  EffectiveWriteBufferLimits limits() const noexcept { return flow_control_.limits(); }
  std::size_t size() const noexcept { return queue_.size(); }

  std::size_t unsent(std::span<ConstBytes> pieces) const noexcept { return queue_.peek(pieces); }
  /// May call resume_writing(), which may write, close or abort. True if everything has been sent.
  [[nodiscard]] bool sent(Transport transport, std::size_t count) noexcept;
  /// Drops the queue: its size is 0 from here on. The bytes stay until the channel is closed, since a
  /// kernel may be reading them. [S17]
  void drop() noexcept;

 private:
  bool accepts(bool empty);
  void queue_grew(Transport transport) noexcept;
  template <class Append>
  CloseReason send_or_queue(Transport transport, std::span<const ConstBytes> pieces,
                            std::size_t total, Append append);

  Lifecycle& lifecycle_;
  StreamChannel& channel_;
  ByteQueue queue_;
  FlowControl flow_control_;
  std::uint32_t dropped_writes_ = 0;  ///< [S27]
  bool ended_ = false;                ///< write_eof() was called
  bool sending_ = false;              ///< the channel sends the queue
};

}  // namespace weir::inline v0::detail
