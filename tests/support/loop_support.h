#pragma once

#include <weir/weir.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "calls.h"
#include "capture.h"
#include "stream_maker.h"

// Set when the sanitizers make everything slow, and the allocator's figures meaningless.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR_TEST_SANITIZED 1
#endif
#endif
#ifndef WEIR_TEST_SANITIZED
#define WEIR_TEST_SANITIZED 0
#endif

namespace weir::test {

inline constexpr bool sanitized = WEIR_TEST_SANITIZED != 0;

/// How often a test of endurance does something: `full` times in an optimised build, less in others.
constexpr int endurance(int full) {
#ifdef __OPTIMIZE__
  return sanitized ? full / 20 : full;
#else
  return full / 10;
#endif
}

/// What the callbacks of a test throw.
class TestError : public std::exception {
 public:
  const char* what() const noexcept override { return "test error"; }
};

/// Notes which callbacks ran, in order.
class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// A callback that notes `name`, and then does `action`.
  Callback note(std::string name, std::function<void()> action = {}) {
    return [this, name = std::move(name), action = std::move(action)] {
      calls.push_back(name);
      if (action) action();
    };
  }

  std::size_t count(const std::string& name) const {
    return static_cast<std::size_t>(std::ranges::count(calls, name));
  }
  bool has(const std::string& name) const { return count(name) > 0; }

  Calls calls;
};

/// The kind of an error, for comparing: "WrongStateError", "connection refused", the text of others.
inline std::string kind_of(const std::exception_ptr& exception) {
  if (exception == nullptr) return "none";
  try {
    std::rethrow_exception(exception);
  } catch (const CancelledError&) {
    return "CancelledError";
  } catch (const InvalidStateError&) {
    return "InvalidStateError";
  } catch (const WrongStateError&) {
    return "WrongStateError";
  } catch (const std::invalid_argument&) {
    return "invalid_argument";
  } catch (const AggregateError&) {
    return "AggregateError";
  } catch (const std::system_error& error) {
    return error.code().message();
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// How a future ended: "pending", "cancelled", "result", or the kind of its error.
template <class T>
std::string outcome(const Future<T>& future) {
  if (!future.done()) return "pending";
  if (future.cancelled()) return "cancelled";
  const std::exception_ptr exception = future.exception();
  return exception == nullptr ? "result" : kind_of(exception);
}

/// The backends that have descriptors, or those that have none.
inline std::vector<BackendKind> backends_with_descriptors(bool wanted) {
  std::vector<BackendKind> kinds;
  for (const BackendKind kind : backends()) {
    EventLoop loop(loop_options(kind));
    if ((loop.poll_descriptor() >= 0) == wanted) kinds.push_back(kind);
    loop.close();
  }
  return kinds;
}

/// How many threads this process has.
inline std::size_t threads() {
  const std::filesystem::directory_iterator entries("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace weir::test
