#pragma once

#include <weir/log.h>

#include <cstdint>
#include <string_view>

#include "log_record.h"

namespace weir::inline v0::detail {

/// Writes that come when nothing can be sent any more. When five are counted each further one is worth a
/// warning: the writer does not notice the end. [S27]
class DroppedWrites {
 public:
  /// The end of the connection is scheduled, and counts as the first.
  void end() noexcept { ++count_; }

  void add(std::string_view warning) {
    if (count_++ >= silent) log_record(LogLevel::warning, warning);
  }

 private:
  static constexpr std::uint32_t silent = 5;

  std::uint32_t count_ = 0;
};

/// What a dropped write to a socket is warned of with.
inline constexpr std::string_view dropped_by_socket = "socket.send() raised exception.";

}  // namespace weir::inline v0::detail
