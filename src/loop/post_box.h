#pragma once

#include <weir/callback.h>
#include <weir/event_loop.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "backend.h"
#include "slot_pool.h"

namespace weir::inline v0::detail {

/// A callback posted by another thread, and the name under which it may be cancelled.
struct Posted {
  Callback callback;
  std::shared_ptr<Context> context;
  SlotRef claim;
};

/// Where other threads leave callbacks for a loop. May outlive it: posting then tells so. [L17]
///
/// Whoever ends a callback's claim first decides: the loop, by running it, or a handle, by cancelling.
class PostBox {
 public:
  explicit PostBox(Backend& backend) noexcept : backend_(&backend) {}
  PostBox(const PostBox&) = delete;
  PostBox& operator=(const PostBox&) = delete;
  ~PostBox() { release_spent_claims(); }

  // --- Any thread
  /// False, and `callback` is dropped, if the loop is closed.
  bool post(Callback callback);
  /// Nothing, and `callback` is dropped, if the loop is closed.
  std::optional<SlotRef> post_cancellable(Callback callback, std::shared_ptr<Context> context);
  /// Ends a claim; true for the first who does.
  static bool end_claim(const SlotRef& claim) noexcept;

  // --- The loop's thread
  /// A claim for a callback that needs no posting.
  SlotRef make_claim();
  /// The claim has been ended and its callback is done. It goes back to the pool later, in one go with
  /// others: a lock for each callback would stand in the way of those who post.
  void release_claim(const SlotRef& claim) { spent_claims_.push_back(claim.slot); }
  /// What was posted since the last call, in order; empty if nothing was. Valid until the next call.
  /// After one that was not empty no post wakes the loop, until it asks may_sleep().
  std::vector<Posted>& collect();
  /// Asked before waiting: false if something was posted meanwhile. Costs nothing while nobody posts.
  bool may_sleep();
  void close() noexcept;

 private:
  bool push(Posted posted);
  void release_spent_claims() noexcept;

  std::mutex mutex_;
  std::atomic<bool> filled_{false};
  bool awake_ = false;  ///< the loop looks again before it sleeps: posting need not wake it
  Backend* backend_;    ///< null once closed
  std::vector<Posted> incoming_;
  SlotPool claims_;
  std::vector<Posted> collected_;    ///< the loop's thread only
  std::vector<Slot*> spent_claims_;  ///< the loop's thread only
};

}  // namespace weir::inline v0::detail
