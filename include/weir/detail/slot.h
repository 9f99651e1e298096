#pragma once

#include <weir/export.h>

#include <atomic>
#include <cstdint>

namespace weir::inline v0::detail {

/// Where an object that the library may destroy is found. Reused, never freed: checking a stale
/// generation is safe for ever, also when the loop is gone.
struct Slot {
  std::atomic<std::uint64_t> generation{0};
  void* target = nullptr;  ///< the object while alive, the next free slot otherwise
};

/// A checked weak name: a slot, and the generation in which it stood for the object meant.
struct SlotRef {
  Slot* slot = nullptr;
  std::uint64_t generation = 0;

  bool alive() const noexcept {
    return slot != nullptr && slot->generation.load(std::memory_order_relaxed) == generation;
  }

  template <class T>
  T* get() const noexcept {
    return alive() ? static_cast<T*>(slot->target) : nullptr;
  }

  friend bool operator==(const SlotRef&, const SlotRef&) = default;
};

}  // namespace weir::inline v0::detail
