// The echo load generator: many connections, every byte that comes back compared with what was
// sent.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "histogram.h"
#include "url.h"

namespace weir_tool {

struct LoadOptions {
  Url url;
  std::size_t connections = 10;
  std::size_t message_bytes = 1024;
  /// How many messages each connection has on their way at once.
  std::size_t pipeline = 1;
  std::chrono::nanoseconds duration = std::chrono::seconds(5);
};

/// What became of datagrams, from the first to the last: sent = received + lost.
struct DatagramCounts {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  /// Answers that came once they were counted as lost, or twice.
  std::uint64_t late = 0;
};

/// What happened while it was measured, so far or in the end.
struct LoadResult {
  std::uint64_t requests = 0;
  std::uint64_t bytes_each_way = 0;
  std::uint64_t bytes_checked = 0;
  std::chrono::nanoseconds elapsed{};
  Histogram latencies;
  std::optional<DatagramCounts> datagrams{};
  /// The first wrong or lost byte, in words; empty when all came back as they were sent.
  std::string error;

  double seconds() const { return std::chrono::duration<double>(elapsed).count(); }
  double requests_per_second() const;
  double mib_per_second() const;
};

using LoadProgress = std::function<void(const LoadResult&)>;

/// Connects, sends for the given time, waits for what is still on its way, and closes.
///
/// `progress` is called a few times a second while it lasts; it may be empty. Times are the loop's.
/// Throws RunError if it cannot connect.
LoadResult run_load(weir::EventLoop& loop, const LoadOptions& options,
                    const LoadProgress& progress = {});

}  // namespace weir_tool
