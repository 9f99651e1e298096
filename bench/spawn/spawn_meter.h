// What the spawning programs do alike: they start /bin/true again and again, one child at a time,
// for a while, and print one line of JSON on how fast that went. Before, the parent may fill memory,
// whose page tables a fork would have to copy.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "measure.h"

namespace bench {

inline constexpr const char* child_program = "/bin/true";

[[noreturn]] inline void spawn_failed(const char* what, const char* why) {
  std::fprintf(stderr, "%s: %s\n", what, why);
  std::exit(1);
}

class SpawnMeter {
 public:
  SpawnMeter(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view name = argv[i];
      if (name == "--seconds" && i + 1 < argc) {
        seconds_ = std::strtod(argv[++i], nullptr);
      } else if (name == "--memory-mib" && i + 1 < argc) {
        fill_memory(std::strtoull(argv[++i], nullptr, 10) << 20);
      } else {
        std::fprintf(stderr, "usage: %s [--seconds S] [--memory-mib N]\n", argv[0]);
        std::exit(2);
      }
    }
  }

  /// Called before each child: whether to start it.
  bool again() {
    if (started_at_ == 0) {
      started_at_ = now_ns();
      cpu_at_start_ = cpu_ns();
    }
    if (static_cast<double>(now_ns() - started_at_) < seconds_ * 1e9) {
      ++count_;
      return true;
    }
    return false;
  }

  /// Called after each child; it must have ended well.
  static void check(int status) {
    if (status != 0) spawn_failed(child_program, "did not end with 0");
  }

  void report() const {
    const auto elapsed = static_cast<double>(now_ns() - started_at_) / 1e9;
    const auto count = static_cast<double>(count_);
    const auto cpu_us = static_cast<double>(cpu_ns() - cpu_at_start_) / 1e3;
    std::printf(
        "{\"requests\": %.0f, \"seconds\": %.4f, \"requests_per_second\": %.1f, "
        "\"server_cpu_us_per_request\": %.2f}\n",
        count, elapsed, count / elapsed, cpu_us / count);
  }

 private:
  /// Small pages: a page table entry for each 4 KiB, as a heap that grew in small steps has.
  static void fill_memory(std::size_t size) {
    if (size == 0) return;
    void* memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || ::madvise(memory, size, MADV_NOHUGEPAGE) != 0) {
      spawn_failed("memory", std::strerror(errno));
    }
    std::memset(memory, 1, size);
  }

  /// Of this process and of the children it has waited for.
  static std::uint64_t cpu_ns() {
    std::uint64_t total = 0;
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage usage{};
      ::getrusage(who, &usage);
      for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
        total += static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
                 static_cast<std::uint64_t>(time.tv_usec) * 1'000;
      }
    }
    return total;
  }

  double seconds_ = 1.0;
  std::uint64_t started_at_ = 0, cpu_at_start_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace bench
