#pragma once

#include <weir/detail/slot.h>

namespace weir::inline v0::detail {

/// Slots for one loop's objects. The memory comes from, and goes back to, a process-wide store that is
/// never freed: that is what makes stale handles safe.
///
/// Threads: one at a time; different pools may be used at once.
class SlotPool {
 public:
  SlotPool() noexcept = default;
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;
  ~SlotPool();

  /// A name for `target`, alive until release().
  SlotRef acquire(void* target);
  /// Ends the name: every copy of it is dead from here on.
  void release(Slot& slot) noexcept;

 private:
  void refill();

  Slot* free_ = nullptr;
};

}  // namespace weir::inline v0::detail
