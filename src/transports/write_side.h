#pragma once

#include <weir/buffer.h>
#include <weir/error.h>
#include <weir/transport.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "backend.h"
#include "byte_queue.h"
#include "fd.h"
#include "flow_control.h"
#include "lifecycle.h"
#include "read_side.h"

namespace weir::inline v0::detail {

/// The sending half of a stream: sends at once what the kernel takes and queues the rest, tells the
/// protocol when to pause, and does a pending end of stream once the queue is empty.
///
/// A failure to send is returned: the reason why the connection must end. [S26]
class WriteSide {
 public:
  WriteSide(Lifecycle& lifecycle, StreamChannel& channel, StreamRole role) noexcept;

  [[nodiscard]] CloseReason write(ConstBytes data);
  [[nodiscard]] CloseReason write(Buffer data);
  [[nodiscard]] CloseReason writelines(std::span<const ConstBytes> lines);
  /// As write(), with descriptors that leave with the first byte of `data`. Only over a Unix socket.
  [[nodiscard]] CloseReason write(ConstBytes data, std::vector<Fd> descriptors);
  void write_eof() noexcept;

  /// While locked, writing throws WrongStateError: a file is being sent past the queue. [K3]
  void set_locked(bool locked) noexcept { locked_ = locked; }

  void set_limits(WriteBufferLimits limits);
  EffectiveWriteBufferLimits limits() const noexcept { return flow_control_.limits(); }
  std::size_t size() const noexcept { return queue_.size(); }

  std::size_t unsent(std::span<ConstBytes> pieces) noexcept;
  /// May call resume_writing(), which may write, close or abort. True if everything has been sent.
  [[nodiscard]] bool sent(std::size_t count) noexcept;
  /// Drops the queue: its size is 0 from here on. The bytes stay until the channel is closed, since a
  /// kernel may be reading them. [S17]
  void drop() noexcept;

 private:
  /// Descriptors that leave with the queue's byte number `position`, counted from its first.
  struct Passing {
    std::size_t position;
    std::vector<Fd> descriptors;
  };

  bool accepts(bool empty);
  void queue_grew() noexcept;
  template <class Append>
  CloseReason send_or_queue(std::span<const ConstBytes> pieces, std::size_t total, Append append);

  Lifecycle& lifecycle_;
  StreamChannel& channel_;
  ByteQueue queue_;
  FlowControl flow_control_;
  std::unique_ptr<std::deque<Passing>> passing_;  ///< null until the first; in order of position
  std::uint32_t dropped_writes_ = 0;              ///< [S27]
  const StreamRole role_;
  bool ended_ = false;  ///< write_eof() was called
  bool locked_ = false;
  bool sending_ = false;  ///< the channel sends the queue
};

}  // namespace weir::inline v0::detail
