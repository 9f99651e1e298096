// One measurement of a load generator: what came back, when, and what it cost whom.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "latencies.h"
#include "measure.h"

namespace bench {

class Measurement {
 public:
  explicit Measurement(long server_pid)
      : server_pid_(server_pid),
        server_cpu_(cpu_time_ns(server_pid)),
        own_cpu_(cpu_time_ns(::getpid())) {}

  std::uint64_t started() const { return started_; }
  std::uint64_t total() const { return latencies_.total(); }
  void add(std::uint64_t latency_ns) { latencies_.add(latency_ns); }
  void add_lost(std::uint64_t requests) { lost_ += requests; }

  /// One line of JSON; `size` is that of a request, in bytes.
  void report(std::size_t size) const {
    const auto elapsed = static_cast<double>(now_ns() - started_) / 1e9;
    const auto server_cpu = static_cast<double>(cpu_time_ns(server_pid_) - server_cpu_);
    const auto own_cpu = static_cast<double>(cpu_time_ns(::getpid()) - own_cpu_);
    const auto requests = static_cast<double>(total());
    std::printf(
        "{\"requests\": %.0f, \"lost\": %.0f, \"seconds\": %.4f, \"requests_per_second\": %.1f, "
        "\"mib_per_second\": %.2f, \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, "
        "\"p99_9_us\": %.2f, \"max_us\": %.2f, \"server_cpu_us_per_request\": %.4f, "
        "\"load_cpu_us_per_request\": %.4f, \"load_processors\": %.4f}\n",
        requests, static_cast<double>(lost_), elapsed, requests / elapsed,
        requests * static_cast<double>(size) / elapsed / (1 << 20), latencies_.quantile_us(0.5),
        latencies_.quantile_us(0.9), latencies_.quantile_us(0.99), latencies_.quantile_us(0.999),
        latencies_.max_us(), server_cpu / requests / 1e3, own_cpu / requests / 1e3,
        own_cpu / 1e9 / elapsed);
  }

 private:
  Latencies latencies_;
  std::uint64_t lost_ = 0;
  long server_pid_;
  std::uint64_t server_cpu_, own_cpu_;
  std::uint64_t started_ = now_ns();
};

}  // namespace bench
