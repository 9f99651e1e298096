// ChaosPipe and the script, in a time that the tests make.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chaos_pipe.h"
#include "chaos_script.h"
#include "errors.h"
#include "faults.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;
using std::string;
using std::vector;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Le;

using Kind = ChaosPipe::Action::Kind;
using Time = ChaosPipe::Time;

constexpr std::uint64_t seed = 7;

string text_of(std::size_t size) {
  string text(size, '\0');
  for (std::size_t index = 0; index < size; ++index)
    text[index] = static_cast<char>(index * 31 % 251);
  return text;
}

/// A pipe, the time, and what has come out.
struct Weather {
  explicit Weather(const Faults& faults, const vector<string>& script = {},
                   std::uint64_t with_seed = seed)
      : pipe(faults, timed(script), with_seed) {}

  static vector<TimedFault> timed(const vector<string>& lines) {
    vector<ScriptLine> script;
    for (const string& line : lines) script.push_back(parse_script_line(line).value());
    return faults_of(script, 1, Direction::forward);
  }

  void push(std::string_view text) { pipe.push(std::as_bytes(std::span(text)), now); }

  /// Lets the time go on, and does what there is to do at its time.
  void run_until(Time end) {
    for (;;) {
      const ChaosPipe::Action action = pipe.next(now);
      if (action.kind == Kind::wait) {
        if (action.time > end) break;
        now = action.time;
        continue;
      }
      if (action.kind == Kind::deliver) {
        out += string(reinterpret_cast<const char*>(action.bytes.data()), action.bytes.size());
        sizes.push_back(action.bytes.size());
      } else {
        happened.push_back(action.kind);
        positions.push_back(pipe.delivered());
      }
    }
    now = end;
  }

  ChaosPipe pipe;
  Time now{};
  string out;
  vector<std::size_t> sizes;
  vector<Kind> happened;            // but for deliveries
  vector<std::uint64_t> positions;  // where it did
};

TEST(ChaosPipe, WithoutFaultsPassesAllOnAtOnce) {
  Weather weather({});
  weather.push("hello, ");
  weather.push("world");
  weather.pipe.push_end(weather.now);
  weather.run_until(0s);
  EXPECT_EQ(weather.out, "hello, world");
  EXPECT_THAT(weather.happened, ElementsAre(Kind::end));
}

TEST(ChaosPipe, LatencyDelaysBytesAndTheEnd) {
  Weather weather({.latency = 50ms});
  weather.push("one");
  weather.run_until(20ms);
  weather.push("two");
  weather.pipe.push_end(weather.now);
  weather.run_until(49ms);
  EXPECT_EQ(weather.out, "");
  weather.run_until(50ms);
  EXPECT_EQ(weather.out, "one");
  weather.run_until(69ms);
  EXPECT_TRUE(weather.happened.empty());
  weather.run_until(70ms);
  EXPECT_EQ(weather.out, "onetwo");
  EXPECT_THAT(weather.happened, ElementsAre(Kind::end));
}

TEST(ChaosPipe, NothingOvertakes) {
  Weather weather({.latency = 1ms, .jitter = 100ms}, {"at 500ms latency 0s"});
  const string text = text_of(1000);
  for (std::size_t index = 0; index < text.size(); ++index) {
    weather.push(text.substr(index, 1));
    weather.run_until(weather.now + 1ms);
  }
  weather.pipe.push_end(weather.now);
  weather.run_until(10s);
  EXPECT_EQ(weather.out, text);
  EXPECT_THAT(weather.happened, ElementsAre(Kind::end));
}

TEST(ChaosPipe, ARateIsNeitherExceededNorMissed) {
  Weather weather({.rate = 1000});
  weather.run_until(10s);
  weather.push(text_of(2000));
  weather.run_until(11s);
  EXPECT_NEAR(static_cast<double>(weather.out.size()), 1000, 100);
  weather.run_until(12s + 100ms);
  EXPECT_EQ(weather.out, text_of(2000));
}

TEST(ChaosPipe, SegmentsAreThoseOfTheSeed) {
  const auto segments = [](std::uint64_t with_seed) {
    Weather weather({.segments = 8}, {}, with_seed);
    weather.push(text_of(4000));
    weather.run_until(0s);
    EXPECT_EQ(weather.out, text_of(4000));
    EXPECT_THAT(weather.sizes, Each(Ge(1U)));
    EXPECT_THAT(weather.sizes, Each(Le(8U)));
    return weather.sizes;
  };
  EXPECT_EQ(segments(1), segments(1));
  EXPECT_NE(segments(1), segments(2));
}

TEST(ChaosPipe, ResetsAtAByte) {
  Weather weather({.reset_at = 100});
  weather.push(text_of(99));
  weather.run_until(1s);
  EXPECT_TRUE(weather.happened.empty());
  weather.push(text_of(200));
  weather.run_until(2s);
  EXPECT_EQ(weather.out.size(), 100U);
  EXPECT_THAT(weather.happened, ElementsAre(Kind::reset));
}

TEST(ChaosPipe, WhatIsRandomIsAtTheSamePositionsHoweverTheBytesCome) {
  const auto positions = [](std::size_t step) {
    Weather weather({.stall = 2, .reset = 0.1, .stall_for = 10ms});
    const string text = text_of(100'000);
    for (std::size_t begin = 0; begin < text.size(); begin += step) {
      weather.push(text.substr(begin, step));
      weather.run_until(weather.now + 1ms);
    }
    weather.run_until(100s);
    EXPECT_EQ(weather.out, text.substr(0, weather.out.size()));
    EXPECT_EQ(weather.happened.back(), Kind::reset);
    return weather.positions;
  };
  EXPECT_EQ(positions(100'000), positions(137));
  EXPECT_GT(positions(137).size(), 1U);
}

TEST(ChaosPipe, AStallHoldsForAWhile) {
  Weather weather({.stall = 1024, .stall_for = 1s});
  weather.push("hello");
  weather.run_until(0s);
  EXPECT_LT(weather.out.size(), 5U);
  EXPECT_THAT(weather.happened, ElementsAre(Kind::stall));
  weather.run_until(10s);
  EXPECT_EQ(weather.out, "hello");
}

TEST(ChaosPipe, APartitionHoldsUntilItHeals) {
  Weather weather({}, {"at 2s partition for 3s"});
  weather.run_until(2s);
  EXPECT_THAT(weather.happened, ElementsAre(Kind::partition));
  weather.push("held");
  weather.pipe.push_end(weather.now);
  weather.run_until(4999ms);
  EXPECT_EQ(weather.out, "");
  weather.run_until(5s);
  EXPECT_EQ(weather.out, "held");
  EXPECT_THAT(weather.happened, ElementsAre(Kind::partition, Kind::end));
}

TEST(ChaosPipe, AScriptEndsWhatTheOptionsBegan) {
  Weather weather({.latency = 1s, .rate = 1}, {"at 2s rate 0", "at 2s latency 0s"});
  weather.run_until(2s);
  weather.push(text_of(1000));
  weather.run_until(2s);
  EXPECT_EQ(weather.out, text_of(1000));
}

TEST(ChaosPipe, AScriptResetsAtItsTimeEvenIfTheReceiverTakesNothing) {
  Weather weather({}, {"at 3s reset"});
  weather.push("before");
  weather.run_until(1s);
  weather.pipe.block();
  weather.push("after");
  weather.run_until(3s);
  EXPECT_EQ(weather.out, "before");
  EXPECT_THAT(weather.happened, ElementsAre(Kind::reset));
}

TEST(ChaosPipe, ResetAfterCountsFromItsLine) {
  Weather weather({}, {"at 1s reset after 3"});
  weather.push("0123456789");
  weather.run_until(1s);
  EXPECT_TRUE(weather.happened.empty());
  weather.push("0123456789");
  weather.run_until(2s);
  EXPECT_EQ(weather.out, "0123456789012");
  EXPECT_THAT(weather.happened, ElementsAre(Kind::reset));
}

TEST(ChaosPipe, WaitsForAReceiverThatTakesNoMore) {
  Weather weather({.reset_at = 5});
  weather.pipe.block();
  weather.push("hello");
  weather.run_until(1s);
  EXPECT_EQ(weather.out, "");
  weather.pipe.unblock();
  weather.run_until(1s);
  EXPECT_EQ(weather.out, "hello");
}

TEST(ChaosPipe, TheLossOfTheSenderComesBehindItsBytes) {
  Weather weather({.latency = 10ms});
  weather.push("last words");
  weather.pipe.push_loss(weather.now);
  weather.run_until(9ms);
  EXPECT_TRUE(weather.happened.empty());
  weather.run_until(10ms);
  EXPECT_EQ(weather.out, "last words");
  EXPECT_THAT(weather.happened, ElementsAre(Kind::lose));
}

TEST(ChaosPipe, ALossIsToldAfterAnEndToo) {
  Weather weather({});
  weather.pipe.push_end(weather.now);
  weather.run_until(0s);
  weather.pipe.push_loss(weather.now);
  weather.run_until(0s);
  EXPECT_THAT(weather.happened, ElementsAre(Kind::end, Kind::lose));
}

TEST(ChaosPipe, HasRoomForItsCapacity) {
  Weather weather({.latency = 1s});
  const string block(ChaosPipe::capacity / 4, '.');
  for (int count = 0; count < 3; ++count) weather.push(block);
  EXPECT_TRUE(weather.pipe.has_room());
  weather.push(block);
  EXPECT_FALSE(weather.pipe.has_room());
  weather.run_until(1s);
  EXPECT_TRUE(weather.pipe.has_room());
}

TEST(ChaosPipe, CountsTheMemoryOfManySmallPieces) {
  Weather weather({.latency = 3600s});
  std::size_t pushed = 0;
  for (; weather.pipe.has_room() && pushed < ChaosPipe::capacity; ++pushed) {
    weather.push(".");
    weather.now += 1ms;
  }
  EXPECT_LT(pushed, ChaosPipe::capacity / 10);
}

TEST(ChaosPipe, WhatALostReceiverWouldGetIsDropped) {
  Weather weather({.latency = 1s});
  weather.push("for nobody");
  weather.pipe.discard();
  weather.push(string(2 * ChaosPipe::capacity, '.'));
  EXPECT_TRUE(weather.pipe.has_room());
  weather.run_until(10s);
  EXPECT_EQ(weather.out, "");
}

// --- The script ----------------------------------------------------------------------------------

TEST(Script, SaysOfWhatAFaultIsOne) {
  const ScriptLine line =
      parse_script_line("connection 3: at 1.5s reset back after 4KiB # why").value();
  EXPECT_EQ(line.connection, 3U);
  EXPECT_EQ(line.direction, Direction::back);
  EXPECT_EQ(line.fault.at, 1500ms);
  EXPECT_EQ(std::get<ResetAfter>(line.fault.fault).bytes, 4096U);
  EXPECT_FALSE(parse_script_line("  # nothing"));
}

TEST(Script, IsInTheOrderOfTimeAndOfOneDirectionOfOneConnection) {
  vector<ScriptLine> script;
  for (const char* line : {"at 3s partition for 3s", "at 1s partition back for 1s",
                           "connection 2: partition for 9s", "at 2s partition forward for 2s"}) {
    script.push_back(parse_script_line(line).value());
  }
  const auto seconds = [&](std::uint64_t connection, Direction direction) {
    vector<std::int64_t> found;
    for (const TimedFault& fault : faults_of(script, connection, direction)) {
      found.push_back(std::get<Partition>(fault.fault).duration / 1s);
    }
    return found;
  };
  EXPECT_THAT(seconds(1, Direction::forward), ElementsAre(2, 3));
  EXPECT_THAT(seconds(1, Direction::back), ElementsAre(1, 3));
  EXPECT_THAT(seconds(2, Direction::back), ElementsAre(9, 1, 3));
}

TEST(Script, RefusesWhatItDoesNotUnderstand) {
  const string resets = "write 'reset', 'reset back after 4096' or 'reset 0.01 back'";
  const string times = "is not a time of a day at most; write 50ms, 1.5s or 2min";
  const vector<std::pair<string, string>> wrong{
      {"at", "no time after 'at'; write 'at 2s'"},
      {"at 2 reset", "'2' " + times},
      {"at -2s reset", "'-2s' " + times},
      {"at nans reset", "'nans' " + times},
      {"at 2s",
       "no fault; write 'latency 50ms', 'partition forward for 3s' or 'reset back after 4096'"},
      {"connection", "no number after 'connection'; write 'connection 1:'"},
      {"connection 3 reset",
       "'3' is not the number of a connection; write 'connection 1:', with the colon"},
      {"connection 0: reset",
       "'0:' is not the number of a connection; write 'connection 1:', with the colon"},
      {"partition 3s", "no 'for' after 'partition'; write 'partition forward for 3s'"},
      {"partition for", "no time after 'for'; write 'partition forward for 3s'"},
      {"reset back", "no 'after' after 'reset back'; " + resets},
      {"reset after", "no size after 'after'; " + resets},
      {"reset after 4k", "'4k' is not a size; write 1024, 64KiB or 1MiB"},
      {"reset soon", "'soon' is not a number from 0 to 1024; write 0.01"},
      {"latency", "no TIME after 'latency'; write 'latency TIME'"},
      {"latency 5ms sideways",
       "'sideways' is too much; leave it out, or put it on a line of its own"},
      {"lag 5ms",
       "unknown fault 'lag'; there are latency, jitter, rate, segments, stall, stall-for, reset, "
       "reset-at and partition"}};
  for (const auto& [line, message] : wrong) {
    try {
      parse_script_line(line);
      ADD_FAILURE() << line;
    } catch (const UsageError& error) {
      EXPECT_EQ(error.what(), message) << line;
    }
  }
}

}  // namespace
}  // namespace weir_tool
