#pragma once

#include <cstddef>

#include "thread_pool.h"

namespace weir::inline v0::detail {

inline constexpr std::size_t max_resolver_threads = 4;

/// The threads that wait for the system's resolver, for all loops of the process. They are never shut
/// down: a resolver that hangs must not keep the process from ending.
///
/// Threads: any.
ThreadPool& resolver_threads();

}  // namespace weir::inline v0::detail
