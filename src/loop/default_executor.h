#pragma once

#include <weir/executor.h>
#include <weir/future.h>

#include <chrono>
#include <memory>
#include <optional>

namespace weir::inline v0::detail {

class Loop;
class ThreadPool;

struct ExecutorAccess {
  static const std::shared_ptr<ThreadPool>& pool(const ThreadPoolExecutor& executor) noexcept {
    return executor.pool_;
  }
};

/// The executor of a loop for work that names none: made on first use, or the user's. [L35, L36]
class DefaultExecutor {
 public:
  explicit DefaultExecutor(Loop& loop) noexcept : loop_(loop) {}
  DefaultExecutor(const DefaultExecutor&) = delete;
  DefaultExecutor& operator=(const DefaultExecutor&) = delete;
  ~DefaultExecutor() { close(); }

  /// Throws std::invalid_argument for none.
  void set(std::shared_ptr<ThreadPoolExecutor> executor);
  /// Throws WrongStateError after shut_down().
  ThreadPoolExecutor& get();
  Future<void> shut_down(std::optional<std::chrono::nanoseconds> timeout);
  /// With the loop: shuts it down, and waits for nobody. [L6]
  void close() noexcept;

 private:
  Loop& loop_;
  std::shared_ptr<ThreadPoolExecutor> executor_;
  bool shut_down_ = false;
};

}  // namespace weir::inline v0::detail
