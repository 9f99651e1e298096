#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ready_queue.h"

namespace weir::inline v0::detail {

/// Timers in the order of their deadlines, and of scheduling where those are equal. [L13]
///
/// A heap with four children a node: shallower than a binary one, and a node's children share a
/// cache line or two. Cancelled timers stay until they are due, or until they are the greater part: then
/// the heap is rebuilt without them. [L16]
class TimerHeap {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit TimerHeap(EntryPool& entries) noexcept : entries_(entries) {}
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;
  ~TimerHeap() { clear(); }

  void push(TimePoint when, Entry& entry);
  /// The earliest deadline that is not cancelled; drops cancelled ones before it.
  std::optional<TimePoint> earliest() noexcept;
  /// Moves all that are due at `now` to the end of `due`, in order, cancelled ones included. Looks at
  /// no entry: with many timers each look is a cache miss.
  void pop_due(TimePoint now, std::vector<Entry*>& due);
  /// An entry of this heap, or one that was popped, has lost its callback.
  void note_cancelled() noexcept;
  /// A popped entry without a callback has been released.
  void note_released() noexcept { --cancelled_; }
  void clear() noexcept;

  std::size_t size() const noexcept { return nodes_.size(); }

 private:
  struct Node {
    TimePoint when{};
    std::uint64_t sequence = 0;
    Entry* entry = nullptr;
  };

  static bool earlier(const Node& a, const Node& b) noexcept {
    return a.when != b.when ? a.when < b.when : a.sequence < b.sequence;
  }
  void sift_up(std::size_t index) noexcept;
  void sift_down(std::size_t index) noexcept;
  Entry& pop() noexcept;
  void compact() noexcept;

  static constexpr std::size_t arity = 4;
  static constexpr std::size_t compact_above = 100;

  EntryPool& entries_;
  std::vector<Node> nodes_;
  std::uint64_t next_sequence_ = 0;
  std::size_t cancelled_ = 0;
};

}  // namespace weir::inline v0::detail
