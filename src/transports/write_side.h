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
#include "dropped_writes.h"
#include "fd.h"
#include "flow_control.h"
#include "lifecycle.h"
#include "read_side.h"
#include "write_lock.h"

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
  /// Sends, as far as it can, what was to be sent together with what others write: nothing comes any more.
  [[nodiscard]] CloseReason wait_no_more() { return make_way(0, MayWait::no); }
  [[nodiscard]] CloseReason write_eof();

  /// While locked, write() throws WrongStateError, write_eof() waits, and the protocol does not hear of
  /// flow control: settle() makes up for that. [K3, K4]
  void lock(WriteLock& lock) noexcept { lock_ = &lock; }
  void unlock() noexcept;
  bool locked() const noexcept { return lock_ != nullptr; }
  /// Throws WrongStateError, "`refused`; ... is in progress", while locked, or only if the lock has all.
  void require_unlocked(const char* refused) const;
  void require_half(const char* refused) const;
  /// The transport is closing: ends the lock, if there is one that has not all.
  void lose_lock(const CloseReason& reason) noexcept;
  /// write() for whoever has the lock.
  [[nodiscard]] CloseReason write_locked(Buffer data) { return send(std::move(data)); }
  /// Tells the protocol whether it is to pause, if it does not know.
  void settle() noexcept;

  bool ended() const noexcept { return ended_; }
  /// The protocol was told to pause by the transport that it wrote to before.
  void assume_told_to_pause() noexcept { told_to_pause_ = true; }
  /// More than the high-water mark is, or was, queued, and not yet so little that writing goes on.
  bool paused() const noexcept { return flow_control_.paused(); }

  /// The queue may be over the new high mark, and the protocol is told so at once. True if it may be resumed
  /// by the new low mark, over TLS only: settle() does, from the loop. [F14, T17]
  [[nodiscard]] bool set_limits(WriteBufferLimits limits);
  EffectiveWriteBufferLimits limits() const noexcept { return flow_control_.limits(); }
  std::size_t size() const noexcept { return queue_.size(); }

  std::size_t unsent(std::span<ConstBytes> pieces) noexcept;
  /// Whether sent() would do more than to count.
  bool awaits_sent() const noexcept {
    return ended_ || locked() || flow_control_.paused() || has_buffers_;
  }
  /// May call resume_writing(), which may write, close or abort. True if everything has been sent.
  [[nodiscard]] bool sent(std::size_t count) noexcept;
  /// Drops the queue: its size is 0 from here on. The bytes stay until the channel is closed, since a
  /// kernel may be reading them. [S17]
  void drop() noexcept;

 private:
  /// Descriptors that leave with byte number `position`, counted from the first that was ever queued
  /// behind passed descriptors.
  struct Passing {
    std::uint64_t position;
    std::vector<Fd> descriptors;
  };
  /// Those that wait for their byte, null until the first; in order of position.
  struct PassingQueue {
    std::deque<Passing> waiting;
    std::uint64_t left = 0;  ///< position of the queue's first byte
  };

  /// Whether what is written may wait for what others write, to be sent together with that.
  enum class MayWait : bool { no, yes };

  bool accepts(bool empty);
  CloseReason send(Buffer data);
  CloseReason send_waiting();
  void queue_grew() noexcept;
  void pause_protocol() noexcept;
  void resume_protocol() noexcept;
  bool should_wait(std::size_t size);
  CloseReason make_way(std::size_t size, MayWait may_wait);
  template <class Append>
  CloseReason send_or_queue(std::span<const ConstBytes> pieces, std::size_t total, MayWait may_wait,
                            Append append);

  Lifecycle& lifecycle_;
  StreamChannel& channel_;
  ByteQueue queue_;
  FlowControl flow_control_;
  std::unique_ptr<PassingQueue> passing_;
  WriteLock* lock_ = nullptr;
  DroppedWrites dropped_writes_;
  const StreamRole role_;
  bool ended_ = false;          ///< write_eof() was called
  bool told_to_pause_ = false;  ///< the protocol was
  bool sending_ = false;        ///< the channel sends the queue
  bool has_buffers_ = false;    ///< there are Buffers in the queue, whose owners want them back
};

}  // namespace weir::inline v0::detail
