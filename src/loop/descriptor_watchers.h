#pragma once

#include <weir/callback.h>

#include <memory>
#include <unordered_map>

#include "backend.h"

namespace weir::inline v0::detail {

class Loop;

/// The user's descriptors that a loop watches: add_reader() and its kin. [L27-L32]
class DescriptorWatchers {
 public:
  enum class Side : bool { reader, writer };

  explicit DescriptorWatchers(Loop& loop) noexcept;
  DescriptorWatchers(const DescriptorWatchers&) = delete;
  DescriptorWatchers& operator=(const DescriptorWatchers&) = delete;
  ~DescriptorWatchers();

  void add(int descriptor, Side side, Callback callback);
  bool remove(int descriptor, Side side);
  void clear() noexcept;

 private:
  class Watcher;

  void require_free(int descriptor) const;

  Loop& loop_;
  std::unordered_map<int, std::unique_ptr<Watcher>> watchers_;
};

}  // namespace weir::inline v0::detail
