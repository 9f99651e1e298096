#pragma once

#include <weir/weir.h>

#include <chrono>
#include <functional>
#include <source_location>
#include <thread>
#include <utility>

#include "run_until.h"

namespace weir::test {

/// As run_until(), for what other threads bring about: the time of a simulated loop does not wait for
/// them, so only the clock on the wall counts.
inline void run_until_off_thread(EventLoop& loop, const std::function<bool()>& condition,
                                 std::source_location where = std::source_location::current()) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) give_up(where);
    loop.run_once(std::chrono::milliseconds(1));
    std::this_thread::yield();
  }
}

/// Drives `loop` until `future` is done, and returns its result or throws its exception.
template <class T>
T result_off_thread(EventLoop& loop, Future<T> future,
                    std::source_location where = std::source_location::current()) {
  run_until_off_thread(
      loop, [&] { return future.done(); }, where);
  if constexpr (std::is_void_v<T>) {
    future.result();
  } else {
    return std::move(future.result());
  }
}

}  // namespace weir::test
