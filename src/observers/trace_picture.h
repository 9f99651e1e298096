// What every picture of a trace is made of, whatever it is drawn with: lifelines, and events from the first to the last.
#pragma once

#include <weir/trace.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline v0::detail {

/// A transport, a loop with all its transports, or somebody who is not in the trace.
struct Lifeline {
  std::string loop;  ///< empty for somebody outside
  std::string name;
  bool outside = false;
  std::uint64_t transport = 0;  ///< by number; of a loop the first one
};

/// From one lifeline to another.
struct Arrow {
  std::size_t from = 0, to = 0;
  TraceEntry::TimePoint sent{}, received{};
  std::uint64_t entry = 0;  ///< that sent it; 0 if it is from outside
};

struct Event {
  static constexpr std::size_t everywhere = std::numeric_limits<std::size_t>::max();

  const TraceEntry* entry = nullptr;  ///< the first of several
  std::size_t lifeline = everywhere;
  std::size_t depth = 0;  ///< in callbacks and calls that are shown
  std::size_t size = 0;   ///< in bytes, of all of them
  std::size_t times = 1;
  std::vector<Arrow> arrows{};  ///< that end here; a call's begin here and end outside

  bool is_note() const { return entry->is_note(); }
};

/// A lifeline for each transport, or for each loop.
enum class LifelineOf : std::uint8_t { transport, loop };
/// Equal events that follow each other are one, or several.
enum class Folding : std::uint8_t { folded, apart };

struct Picture {
  std::vector<Lifeline> lifelines;
  std::vector<Event> events;
  std::map<std::uint64_t, std::size_t> event_of;  ///< by the number of an entry
  TraceEntry::TimePoint begin{};
  std::uint64_t missing = 0;  ///< entries that are no more there
};

/// Valid as long as the trace is not changed.
Picture picture_of(const Trace& trace, const TraceView& view, LifelineOf of, Folding folding);

/// "write 12 B", "write 36 B x3".
std::string label_of(const Event& event, std::string_view times_sign);
/// The same, with what the entry has besides; may contain anything.
std::string full_label_of(const Event& event, std::string_view times_sign);

}  // namespace weir::inline v0::detail
