#include "slot_pool.h"

#include <array>
#include <memory>
#include <mutex>
#include <utility>

namespace weir::inline v0::detail {
namespace {

constexpr int batch_size = 64;

/// The free slots of no pool, linked by their targets.
struct Store {
  std::mutex mutex;
  Slot* free = nullptr;
};

/// Never destroyed: handles may be checked after main() returned.
Store& store() {
  static auto* const instance = new Store;
  return *instance;
}

void push(Slot*& list, Slot& slot) noexcept { slot.target = std::exchange(list, &slot); }

Slot* pop(Slot*& list) noexcept {
  Slot* slot = list;
  if (slot != nullptr) list = static_cast<Slot*>(slot->target);
  return slot;
}

}  // namespace

SlotPool::~SlotPool() {
  if (free_ == nullptr) return;
  const std::lock_guard lock(store().mutex);
  while (Slot* slot = pop(free_)) push(store().free, *slot);
}

SlotRef SlotPool::acquire(void* target) {
  if (free_ == nullptr) {
    const std::lock_guard lock(store().mutex);
    for (int taken = 0; taken < batch_size; ++taken) {
      Slot* slot = pop(store().free);
      if (slot == nullptr) break;
      push(free_, *slot);
    }
  }
  if (free_ == nullptr) {
    // Owned by nobody on purpose: see Slot.
    auto* batch = new std::array<Slot, batch_size>;
    for (Slot& slot : *batch) push(free_, slot);
  }
  Slot* slot = pop(free_);
  slot->target = target;
  return {slot, slot->generation.load(std::memory_order_relaxed)};
}

void SlotPool::release(Slot& slot) noexcept {
  slot.generation.store(slot.generation.load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
  push(free_, slot);
}

}  // namespace weir::inline v0::detail
