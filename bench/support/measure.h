// What the programs that measure read: the clock, and what a process has had of the processors.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace bench {

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

inline std::uint64_t to_ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

/// The processor time, in ns, that all threads of a process and of its living children have had, by
/// the scheduler's account. 0 for a process that cannot be read.
inline std::uint64_t cpu_time_ns(long pid) {
  std::uint64_t total = 0;
  const auto tasks = "/proc/" + std::to_string(pid) + "/task";
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
    std::uint64_t on_cpu = 0;
    std::ifstream(task.path() / "schedstat") >> on_cpu;
    total += on_cpu;
    std::ifstream children(task.path() / "children");
    for (long child = 0; children >> child;) total += cpu_time_ns(child);
  }
  return total;
}

}  // namespace bench
