// What two sides of a connection were told and did, in the order it happened, and a picture of it.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "terminal.h"

namespace weir_tool {

enum class Side { client, server };

/// The events of one connection. Equal ones that follow each other become one, with a count.
class Recording {
 public:
  enum class Kind { callback, call };

  struct Event {
    std::chrono::nanoseconds when;
    Side side;
    Kind kind;
    std::string name;
    std::uint64_t bytes = 0;
    std::size_t times = 1;
  };

  explicit Recording(const weir::EventLoop& loop) : loop_(loop), began_(loop.time()) {}

  /// A callback of the protocol at `side`.
  void callback(Side side, std::string_view name, std::uint64_t bytes = 0) {
    add(side, Kind::callback, name, bytes);
  }
  /// Something that `side` called on its transport, for the other side to notice.
  void call(Side side, std::string_view name, std::uint64_t bytes = 0) {
    add(side, Kind::call, name, bytes);
  }

  const std::vector<Event>& events() const { return events_; }

 private:
  void add(Side side, Kind kind, std::string_view name, std::uint64_t bytes);

  const weir::EventLoop& loop_;
  weir::EventLoop::TimePoint began_;
  std::vector<Event> events_;
};

/// Two lifelines, a line for each event, time on the left; 80 columns at most.
std::string draw(const Recording& recording, const Terminal& terminal);

}  // namespace weir_tool
