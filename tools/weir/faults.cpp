#include "faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <system_error>
#include <type_traits>

#include "errors.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr std::array settings{
    FaultSetting{"latency", "TIME", "Delays every byte", &Faults::latency},
    FaultSetting{"jitter", "TIME", "Delays up to so much more, at random", &Faults::jitter},
    FaultSetting{"rate", "BYTES", "Lets so many pass in a second", &Faults::rate},
    FaultSetting{"segments", "BYTES", "Cuts all into random pieces of so many at most",
                 &Faults::segments},
    FaultSetting{"stall", "NUMBER", "So often in a KiB, on the average, nothing moves for a while",
                 &Faults::stall},
    FaultSetting{"stall-for", "TIME", "The longest stall (1s)", &Faults::stall_for},
    FaultSetting{"reset", "NUMBER", "So often in a KiB, on the average, the connection is reset",
                 &Faults::reset},
    FaultSetting{"reset-at", "BYTES", "Resets the connection once so many got through",
                 &Faults::reset_at},
};

constexpr double longest_time_seconds = 86400;
constexpr double most_in_a_kib = 1024;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 50U;

template <std::size_t Size, class Value>
using Units = std::array<std::pair<std::string_view, Value>, Size>;

constexpr Units<4, double> time_units{{{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}}};
constexpr Units<5, std::uint64_t> byte_units{
    {{"", 1}, {"B", 1}, {"KiB", 1U << 10U}, {"MiB", 1U << 20U}, {"GiB", 1U << 30U}}};

/// A number and what stands behind it; the error is that of a text that does not begin with a number.
template <class Value>
struct Quantity {
  Value value{};
  std::string_view unit;
  std::errc error{};
};

template <class Value>
Quantity<Value> take_number(std::string_view text) {
  Quantity<Value> taken;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, taken.value);
  taken.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  taken.error = error;
  return taken;
}

template <std::size_t Size, class Value>
const Value* find_unit(const Units<Size, Value>& units, std::string_view name) {
  const auto* found = std::find_if(units.begin(), units.end(),
                                   [&](const auto& unit) { return unit.first == name; });
  return found != units.end() ? &found->second : nullptr;
}

double parse_number(std::string_view text) {
  const auto number = take_number<double>(text);
  const bool is_in_range = number.value >= 0 && number.value <= most_in_a_kib;  // nan is not
  if (number.error != std::errc() || !number.unit.empty() || !is_in_range) {
    throw UsageError(
        fmt::format("'{}' is not a number from 0 to {}; write 0.01", text, most_in_a_kib));
  }
  return number.value;
}

}  // namespace

std::string_view to_string(Direction direction) {
  return direction == Direction::forward ? "forward" : "back";
}

std::span<const FaultSetting> fault_settings() { return settings; }

const FaultSetting* find_fault_setting(std::string_view name) {
  const auto* found = std::find_if(settings.begin(), settings.end(),
                                   [&](const FaultSetting& known) { return known.name == name; });
  return found != settings.end() ? found : nullptr;
}

std::string fault_names(std::string_view last) {
  std::string names;
  for (const FaultSetting& setting : settings) {
    const bool comes_last = last.empty() && &setting == &settings.back();
    if (!names.empty()) names += comes_last ? " and " : ", ";
    names += setting.name;
  }
  return last.empty() ? names : fmt::format("{} and {}", names, last);
}

nanoseconds parse_time(std::string_view text) {
  const auto time = take_number<double>(text);
  const double* const unit = find_unit(time_units, time.unit);
  if (time.error != std::errc() || unit == nullptr || !(time.value >= 0) ||
      time.value * *unit > longest_time_seconds) {
    throw UsageError(
        fmt::format("'{}' is not a time of a day at most; write 50ms, 1.5s or 2min", text));
  }
  return std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(time.value * *unit));
}

std::uint64_t parse_bytes(std::string_view text) {
  const auto size = take_number<std::uint64_t>(text);
  const std::uint64_t* const unit = find_unit(byte_units, size.unit);
  if (size.error != std::errc() || unit == nullptr || size.value > most_bytes / *unit) {
    throw UsageError(fmt::format("'{}' is not a size; write 1024, 64KiB or 1MiB", text));
  }
  return size.value * *unit;
}

FaultChange parse_fault_change(const FaultSetting& setting, std::string_view value) {
  return std::visit(
      [&](auto member) -> FaultChange {
        using Value = std::decay_t<decltype(std::declval<Faults>().*member)>;
        Value parsed{};
        if constexpr (std::is_same_v<Value, nanoseconds>) {
          parsed = parse_time(value);
        } else if constexpr (std::is_same_v<Value, double>) {
          parsed = parse_number(value);
        } else {
          parsed = parse_bytes(value);
        }
        return [=](Faults& faults) { faults.*member = parsed; };
      },
      setting.member);
}

void change_faults(Faults& faults, std::string_view list) {
  for (std::string_view rest = list; !rest.empty();) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string_view item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = std::min(item.find('='), item.size());
    const FaultSetting* const setting = find_fault_setting(item.substr(0, equals));
    if (setting == nullptr) {
      throw UsageError(
          fmt::format("unknown fault '{}'; there are {}", item.substr(0, equals), fault_names()));
    }
    if (equals == item.size()) {
      throw UsageError(fmt::format("no value of '{0}'; write {0}={1}", item, setting->form));
    }
    parse_fault_change(*setting, item.substr(equals + 1))(faults);
  }
}

}  // namespace weir_tool
