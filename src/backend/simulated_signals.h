#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "backend.h"
#include "intrusive_list.h"

namespace weir::inline v0::detail::simulated {

struct SignalTag;

/// One kind of event of one channel. It is idle, or raised, or collected by wait(): a node of the
/// list that says so. To unlink it is to take the event back; destroying it does that too.
class Signal : public ListNode<SignalTag> {
 public:
  /// Calls the channel's user; true if it did. The channel may be gone when this returns.
  virtual bool deliver() noexcept = 0;

 protected:
  ~Signal() = default;
};

/// A signal that calls a member function of its channel.
template <class Channel>
class SignalOf final : public Signal {
 public:
  using Deliver = bool (Channel::*)() noexcept;

  SignalOf(Channel& channel, Deliver function) noexcept : channel_(channel), deliver_(function) {}

  bool deliver() noexcept override { return (channel_.*deliver_)(); }

 private:
  Channel& channel_;
  Deliver deliver_;
};

/// The events on their way up. A channel that has something to tell raises a signal; wait() collects
/// what was raised, and dispatch() delivers what was collected. So nothing a verb causes is told before
/// another wait() [rule 1].
class Signals {
 public:
  /// `signal` is delivered after the next collect().
  void raise(Signal& signal) noexcept {
    if (!signal.linked()) raised_.push_back(signal);
  }
  /// `signal`, which is being delivered, is delivered once more before the next collect().
  void repeat(Signal& signal) noexcept { collected_.push_back(signal); }

  bool empty() const noexcept { return raised_.empty() && collected_.empty(); }
  void collect() noexcept { collected_.splice_back(raised_); }

  /// Delivers what was collected; returns how many of these were events.
  std::size_t deliver() noexcept {
    std::size_t count = 0;
    interrupted_ = false;
    while (!interrupted_ && !collected_.empty()) {
      if (collected_.pop_front().deliver()) ++count;
    }
    return count;
  }
  /// Ends the deliver() that is running.
  void interrupt() noexcept { interrupted_ = true; }

  /// Where bytes are received whose user brings no buffer.
  std::span<std::byte> scratch() noexcept { return {scratch_.get(), receive_buffer_size}; }

 private:
  IntrusiveList<Signal, SignalTag> raised_;
  IntrusiveList<Signal, SignalTag> collected_;
  bool interrupted_ = false;
  std::unique_ptr<std::byte[]> scratch_ =
      std::make_unique_for_overwrite<std::byte[]>(receive_buffer_size);
};

}  // namespace weir::inline v0::detail::simulated
