#include "post_box.h"

#include <utility>

namespace weir::inline v0::detail {

bool PostBox::push(Posted posted) {
  if (backend_ == nullptr) return false;
  incoming_.push_back(std::move(posted));
  // One wake-up for all that is posted until the loop looks.
  if (incoming_.size() == 1) {
    filled_.store(true, std::memory_order_release);
    if (!awake_) backend_->wake();
  }
  return true;
}

bool PostBox::post(Callback callback) {
  const std::lock_guard lock(mutex_);
  if (backend_ == nullptr) return false;
  return push({std::move(callback), nullptr, {}});
}

std::optional<SlotRef> PostBox::post_cancellable(Callback callback,
                                                 std::shared_ptr<Context> context) {
  const std::lock_guard lock(mutex_);
  if (backend_ == nullptr) return std::nullopt;
  const SlotRef claim = claims_.acquire(nullptr);
  push({std::move(callback), std::move(context), claim});
  return claim;
}

bool PostBox::end_claim(const SlotRef& claim) noexcept {
  std::uint64_t expected = claim.generation;
  return claim.slot->generation.compare_exchange_strong(expected, claim.generation + 1,
                                                        std::memory_order_acq_rel);
}

SlotRef PostBox::make_claim() {
  const std::lock_guard lock(mutex_);
  return claims_.acquire(nullptr);
}

std::vector<Posted>& PostBox::collect() {
  collected_.clear();
  if (filled_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(mutex_);
    filled_.store(false, std::memory_order_relaxed);
    std::swap(incoming_, collected_);
    awake_ = true;
    release_spent_claims();
  }
  return collected_;
}

void PostBox::release_spent_claims() noexcept {
  for (Slot* slot : spent_claims_) claims_.release(*slot);
  spent_claims_.clear();
}

bool PostBox::may_sleep() {
  // Written by this thread alone, so it may be read without the lock.
  if (!awake_) return true;
  const std::lock_guard lock(mutex_);
  awake_ = !incoming_.empty();
  return !awake_;
}

void PostBox::close() noexcept {
  std::vector<Posted> dropped;
  {
    const std::lock_guard lock(mutex_);
    backend_ = nullptr;
    dropped = std::exchange(incoming_, {});
    for (const Posted& posted : dropped) {
      // A handle that cancels later must not believe it was in time.
      if (posted.claim.slot == nullptr) continue;
      static_cast<void>(end_claim(posted.claim));
      claims_.release(*posted.claim.slot);
    }
  }
}

}  // namespace weir::inline v0::detail
