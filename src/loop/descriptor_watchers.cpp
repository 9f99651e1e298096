#include "descriptor_watchers.h"

#include <weir/error.h>

#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "loop.h"

namespace weir::inline v0::detail {

/// One descriptor with its two callbacks. They are shared so that one may remove itself while it runs.
class DescriptorWatchers::Watcher final : private WatchEvents {
 public:
  Watcher(Loop& loop, int descriptor)
      : loop_(loop), watch_(loop.backend().watch(descriptor, *this)) {}

  /// A callback, and the context it was added in. [L19]
  struct Watching {
    Callback callback;
    std::shared_ptr<Context> context;
    Registration registration;
  };

  std::shared_ptr<Watching>& side(Side side) noexcept {
    return side == Side::reader ? reader_ : writer_;
  }
  std::error_code update() noexcept { return watch_->want(reader_ != nullptr, writer_ != nullptr); }
  bool idle() const noexcept { return reader_ == nullptr && writer_ == nullptr; }

 private:
  void on_readable() noexcept override { run(reader_, "of add_reader()"); }
  void on_writable() noexcept override { run(writer_, "of add_writer()"); }

  /// By value: the callback may remove itself.
  void run(std::shared_ptr<Watching> watching,
           const char* name) noexcept {  // NOLINT(*-value-param)
    if (watching != nullptr) loop_.run_guarded(watching->callback, watching->context, name);
  }

  Loop& loop_;
  std::shared_ptr<Watching> reader_;
  std::shared_ptr<Watching> writer_;
  std::unique_ptr<DescriptorWatch> watch_;
};

DescriptorWatchers::DescriptorWatchers(Loop& loop) noexcept : loop_(loop) {}

DescriptorWatchers::~DescriptorWatchers() = default;

void DescriptorWatchers::require_free(int descriptor) const {
  if (descriptor < 0) {
    throw std::invalid_argument("descriptor " + std::to_string(descriptor) +
                                " is negative; an open one is wanted");
  }
  if (loop_.backend().owns(descriptor)) {
    throw WrongStateError("descriptor " + std::to_string(descriptor) +
                          " is used by a transport; use the transport's own methods");
  }
}

void DescriptorWatchers::add(int descriptor, Side side, Callback callback,
                             Registration registration) {
  require_free(descriptor);
  if (!callback) throw std::invalid_argument("the callback of a descriptor is empty");
  auto& watcher = watchers_[descriptor];
  if (watcher == nullptr) watcher = std::make_unique<Watcher>(loop_, descriptor);
  auto replaced = std::exchange(watcher->side(side),
                                std::make_shared<Watcher::Watching>(Watcher::Watching{
                                    std::move(callback), loop_.current_context(), registration}));
  if (const std::error_code error = watcher->update()) {
    watcher->side(side).reset();
    if (watcher->idle()) watchers_.erase(descriptor);
    throw std::system_error(error,
                            "descriptor " + std::to_string(descriptor) + " cannot be watched");
  }
}

bool DescriptorWatchers::remove(int descriptor, Side side) {
  require_free(descriptor);
  const auto found = watchers_.find(descriptor);
  if (found == watchers_.end() || found->second->side(side) == nullptr) return false;
  release(found, side);
  return true;
}

void DescriptorWatchers::withdraw(int descriptor, Side side, Registration registration) noexcept {
  const auto found = watchers_.find(descriptor);
  if (found == watchers_.end()) return;
  const auto& watching = found->second->side(side);
  if (watching != nullptr && watching->registration == registration) release(found, side);
}

void DescriptorWatchers::release(Watchers::iterator found, Side side) noexcept {
  const auto removed = std::exchange(found->second->side(side), nullptr);  // destroyed last
  // The update fails if the user closed the descriptor without telling: nothing is watched, so nothing
  // remains to undo.
  if (found->second->idle() || found->second->update()) watchers_.erase(found);
}

void DescriptorWatchers::clear() noexcept { auto watchers = std::exchange(watchers_, {}); }

}  // namespace weir::inline v0::detail
