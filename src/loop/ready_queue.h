#pragma once

#include <weir/callback.h>
#include <weir/event_loop.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "slot_pool.h"

namespace weir::inline v0::detail {

class TimerHeap;

/// A scheduled callback. Its slot names it for Handles while it can still be cancelled.
struct Entry {
  Entry* next = nullptr;
  Callback callback;
  std::shared_ptr<Context> context;
  Slot* slot = nullptr;
  TimerHeap* timers = nullptr;  ///< the heap it is in, to be told when it is cancelled
  SlotRef claim{};              ///< of call_soon_threadsafe(): whoever ends this name first wins

  SlotRef ref() const noexcept { return {slot, slot->generation.load(std::memory_order_relaxed)}; }
  /// No handle finds it from here on.
  void forget_handles() const noexcept {
    slot->generation.store(slot->generation.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
  }
};

/// The entries of one loop, reused: scheduling does not allocate once a loop has warmed up.
class EntryPool {
 public:
  explicit EntryPool(SlotPool& slots) noexcept : slots_(slots) {}
  EntryPool(const EntryPool&) = delete;
  EntryPool& operator=(const EntryPool&) = delete;
  ~EntryPool();

  Entry& acquire(Callback&& callback, std::shared_ptr<Context>&& context);
  /// Drops its callback, ends its handles.
  void release(Entry& entry) noexcept;

 private:
  void grow();

  static constexpr std::size_t block_size = 64;
  SlotPool& slots_;
  std::vector<std::unique_ptr<Entry[]>> blocks_;
  Entry* free_ = nullptr;
};

/// First in, first out. [L10]
class ReadyQueue {
 public:
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  void push(Entry& entry) noexcept;
  Entry& pop() noexcept;

 private:
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weir::inline v0::detail
