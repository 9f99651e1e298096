// What can be wrong with one direction of a connection, and how a person writes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace weir_tool {

/// Towards the target, or back from it.
enum class Direction { forward, back };

std::string_view to_string(Direction direction);

/// The faults that are always there. Zero is none of it.
struct Faults {
  std::chrono::nanoseconds latency{};
  /// Up to that much more latency.
  std::chrono::nanoseconds jitter{};
  /// Bytes a second.
  std::uint64_t rate = 0;
  /// The longest piece, in bytes.
  std::uint64_t segments = 0;
  /// How many there are in a KiB on the average.
  double stall = 0;
  double reset = 0;
  /// The longest stall.
  std::chrono::nanoseconds stall_for = std::chrono::seconds(1);
  /// The number of bytes that get through.
  std::uint64_t reset_at = 0;
};

/// One member of Faults, by its name.
struct FaultSetting {
  std::string_view name;
  /// What its value is: TIME, BYTES or NUMBER.
  std::string_view form;
  std::string_view help;
  std::variant<std::chrono::nanoseconds Faults::*, std::uint64_t Faults::*, double Faults::*>
      member;
};

std::span<const FaultSetting> fault_settings();
/// Null if there is none of that name.
const FaultSetting* find_fault_setting(std::string_view name);
/// "latency, jitter and reset-at": all of them, and `last`.
std::string fault_names(std::string_view last = {});

using FaultChange = std::function<void(Faults&)>;

/// What happens once, at its time.
struct Partition {
  std::chrono::nanoseconds duration;
};
struct ResetNow {};
struct ResetAfter {
  std::uint64_t bytes;  // from now on
};

/// A fault and when it begins, counted from the opening of a connection.
struct TimedFault {
  std::chrono::nanoseconds at{};
  std::variant<FaultChange, Partition, ResetNow, ResetAfter> fault;
};

// All of these throw UsageError with what is wrong and what would be right.

/// "50ms".
std::chrono::nanoseconds parse_time(std::string_view text);
/// "4096" or "64KiB".
std::uint64_t parse_bytes(std::string_view text);

/// Gives one setting its value.
FaultChange parse_fault_change(const FaultSetting& setting, std::string_view value);
/// Changes what `list`, "latency=50ms,reset-at=4096", says.
void change_faults(Faults& faults, std::string_view list);

}  // namespace weir_tool
