#pragma once

#include <weir/weir.h>

#include <chrono>
#include <functional>
#include <source_location>

namespace weir::test {

/// How long a test waits for what must come: far longer than it can take on a busy machine, so that
/// only what never comes fails.
inline constexpr std::chrono::seconds patience{100};

/// Throws that what was waited for at `where` did not come.
[[noreturn]] void give_up(std::source_location where);

/// Drives `loop` until `condition` holds. Throws, which ends and fails the test, when it does not
/// hold after `patience`, of the loop's time or of the clock on the wall.
void run_until(EventLoop& loop, const std::function<bool()>& condition,
               std::source_location where = std::source_location::current());

/// Drives `loop` until `future` is done, and returns its result or throws its exception.
template <class T>
T run_until_done(EventLoop& loop, Future<T> future,
                 std::source_location where = std::source_location::current()) {
  run_until(
      loop, [&] { return future.done(); }, where);
  if constexpr (std::is_void_v<T>) {
    future.result();
  } else {
    return std::move(future.result());
  }
}

}  // namespace weir::test
