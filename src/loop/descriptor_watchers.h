#pragma once

#include <weir/callback.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "backend.h"

namespace weir::inline v0::detail {

class Loop;

/// The user's descriptors that a loop watches: add_reader() and its kin, and the sock_*() calls that
/// wait. [L27-L32, K8]
class DescriptorWatchers {
 public:
  enum class Side : bool { reader, writer };
  /// Names a callback, so that it alone may be taken back.
  enum class Registration : std::uint64_t {};

  explicit DescriptorWatchers(Loop& loop) noexcept;
  DescriptorWatchers(const DescriptorWatchers&) = delete;
  DescriptorWatchers& operator=(const DescriptorWatchers&) = delete;
  ~DescriptorWatchers();

  /// Throws if `descriptor` cannot be the user's. [L30]
  void require_free(int descriptor) const;

  Registration new_registration() noexcept { return Registration{++last_registration_}; }
  /// Replaces the callback that is there, which is released.
  void add(int descriptor, Side side, Callback callback, Registration registration);
  void add(int descriptor, Side side, Callback callback) {
    add(descriptor, side, std::move(callback), new_registration());
  }
  bool remove(int descriptor, Side side);
  /// Removes the callback of that name, unless it was replaced or removed before.
  void withdraw(int descriptor, Side side, Registration registration) noexcept;
  void clear() noexcept;

 private:
  class Watcher;
  using Watchers = std::unordered_map<int, std::unique_ptr<Watcher>>;

  void release(Watchers::iterator found, Side side) noexcept;

  Loop& loop_;
  Watchers watchers_;
  std::uint64_t last_registration_ = 0;
};

}  // namespace weir::inline v0::detail
