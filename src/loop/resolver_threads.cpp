#include "resolver_threads.h"

#include <pthread.h>

#include <atomic>
#include <memory>

namespace weir::inline v0::detail {

ThreadPool& resolver_threads() {
  using Shared = std::shared_ptr<ThreadPool>;
  static std::atomic<const Shared*> current{nullptr};
  // A forked child has none of its parent's threads, so it starts anew. [O6]
  static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { current.store(nullptr, std::memory_order_relaxed); });
  static_cast<void>(registered);  // it fails for want of memory only; forking then is as before
  const Shared* threads = current.load(std::memory_order_acquire);
  if (threads == nullptr) {
    auto made =
        std::make_unique<const Shared>(ThreadPool::make(max_resolver_threads, "weir-resolver"));
    if (current.compare_exchange_strong(threads, made.get(), std::memory_order_acq_rel)) {
      threads = made.release();  // never destroyed
    }
  }
  return **threads;
}

}  // namespace weir::inline v0::detail
