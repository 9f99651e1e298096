#include "slot_pool.h"

#include <array>
#include <cstddef>
#include <mutex>
#include <utility>

namespace weir::inline v0::detail {
namespace {

constexpr std::size_t batch_size = 64;

struct Batch {
  Batch* next;
  std::array<Slot, batch_size> slots;
};

/// All slots there are, and those of no pool.
struct Store {
  std::mutex mutex;
  Batch* batches = nullptr;
  Slot* free = nullptr;  ///< linked by their targets
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
  if (free_ == nullptr) refill();
  Slot* slot = pop(free_);
  slot->target = target;
  return {slot, slot->generation.load(std::memory_order_relaxed)};
}

void SlotPool::refill() {
  const std::lock_guard lock(store().mutex);
  for (std::size_t taken = 0; taken < batch_size && store().free != nullptr; ++taken) {
    push(free_, *pop(store().free));
  }
  if (free_ != nullptr) return;
  store().batches = new Batch{store().batches, {}};
  for (Slot& slot : store().batches->slots) push(free_, slot);
}

void SlotPool::release(Slot& slot) noexcept {
  slot.generation.store(slot.generation.load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
  push(free_, slot);
}

}  // namespace weir::inline v0::detail
