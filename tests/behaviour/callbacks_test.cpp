// S32, table 1: every callback may call every method of its transport, and may throw.
//
// One scene in which each callback comes once; in one of them one thing is done. What the whole
// sequence must be then follows from the baseline.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "every_stream.h"

namespace weir::test {
namespace {

struct Case {
  StreamMaker maker;
  std::string callback;
  std::string action;

  friend void PrintTo(const Case& test, std::ostream* out) {
    *out << test.action << " in " << test.callback << ", " << test.maker.name();
  }
};

const Calls baseline = calls("connection_made", "pause_writing", "resume_writing",
                             "data_received:x", "eof_received", "connection_lost");

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const StreamMaker& maker : socket_makers()) {
    for (const std::string callback :
         {"connection_made", "pause_writing", "resume_writing", "get_buffer", "data_received",
          "eof_received", "connection_lost"}) {
      if (callback == "get_buffer" && maker.protocol == ProtocolKind::stream) continue;
      for (const std::string action :
           {"pause_reading", "resume_reading", "write", "write_eof", "close", "abort",
            "close_and_abort", "set_stream_protocol", "set_buffered_protocol", "throw"}) {
        all.push_back({maker, callback, action});
      }
    }
  }
  return all;
}

/// Where `callback` is in the baseline; get_buffer() comes just before the data.
std::size_t position(const std::string& callback) {
  const std::string name = callback == "get_buffer" ? "data_received" : callback;
  const auto found = std::ranges::find_if(
      baseline, [&](const std::string& call) { return call.starts_with(name); });
  return static_cast<std::size_t>(found - baseline.begin());
}

Calls slice(std::size_t begin, std::size_t end) {
  return {baseline.begin() + static_cast<std::ptrdiff_t>(begin),
          baseline.begin() + static_cast<std::ptrdiff_t>(std::min(end, baseline.size()))};
}

class EveryCallback : public StreamTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { open_streams(GetParam().maker); }

  bool does(const std::string& action) const { return GetParam().action == action; }
  bool in(const std::string& callback) const { return GetParam().callback == callback; }
  bool switches() const { return GetParam().action.ends_with("_protocol"); }

  void act(Recorder& actor, Recorder& heir) {
    const Transport transport = actor.transport;
    if (does("pause_reading")) transport.pause_reading();
    if (does("resume_reading")) transport.resume_reading();
    if (does("write")) transport.write("w");
    if (does("write_eof")) transport.write_eof();
    if (does("close") || does("close_and_abort")) transport.close();
    if (does("abort") || does("close_and_abort")) transport.abort();
    if (does("set_stream_protocol")) hand_over(actor, heir, ProtocolKind::stream);
    if (does("set_buffered_protocol")) hand_over(actor, heir, ProtocolKind::buffered);
    if (does("throw")) throw std::runtime_error("boom");
  }

  /// What the protocol that acts must be told.
  Calls expected() const {
    const std::size_t here = position(GetParam().callback);
    const std::size_t before = in("get_buffer") ? here : here + 1;
    if (switches()) return slice(0, before);
    if (does("abort") || does("close_and_abort")) return ended_after(before, "connection_lost");
    if (does("close")) {
      // The flush resumes on its way down.
      return ended_after(in("pause_writing") ? before + 1 : before, "connection_lost");
    }
    const bool fatal = in("get_buffer") || in("data_received") || in("eof_received");
    if (does("throw") && fatal) return ended_after(before, "connection_lost:boom");
    // Nothing more can be written, so nothing is queued in this scene.
    if (does("write_eof") && in("connection_made")) {
      return calls("connection_made", "data_received:x", "eof_received", "connection_lost");
    }
    return baseline;
  }

  /// What the protocol that takes over must be told.
  Calls expected_of_heir() const {
    if (!switches()) return {};
    const std::size_t here = position(GetParam().callback);
    return slice(in("get_buffer") ? here : here + 1, baseline.size());
  }

  Calls expected_reports() const {
    if (!does("throw")) return {};
    if (in("pause_writing") || in("resume_writing")) {
      return calls("protocol." + GetParam().callback + "() failed [boom]");
    }
    if (in("connection_made") || in("connection_lost")) {
      return calls("Exception in callback [boom]");
    }
    std::string callback = GetParam().callback;
    if (in("data_received") && buffered()) callback = "buffer_updated";
    return calls("Fatal error: protocol." + callback + "() call failed. [boom]");
  }

 private:
  static Calls ended_after(std::size_t count, const std::string& end) {
    Calls sequence = slice(0, std::min(count, baseline.size() - 1));
    sequence.push_back(end);
    return sequence;
  }
};

std::string case_name(const ::testing::TestParamInfo<Case>& test) {
  return test.param.action + "_in_" + test.param.callback + '_' + test.param.maker.name();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryCallback, ::testing::ValuesIn(cases()), case_name);

// S32, B12, table 1: one action in one callback gives the sequence that the rules say.
TEST_P(EveryCallback, MayDoAnything) {
  Recorder& left = new_recorder("left");
  Recorder& right = new_recorder("right");
  Recorder& heir = new_recorder("heir");
  left.once(GetParam().callback, [&] { act(left, heir); });
  right.keep_open = true;
  connect(left, right);
  const auto over = [&] { return left.lost() || heir.lost(); };
  const auto resumed = [&] { return left.count("resume_writing") + heir.count("resume_writing"); };

  const bool closed = left.transport.is_closing();
  const bool half_closed = does("write_eof") && in("connection_made");
  if (!closed && !half_closed) {
    const CloggedPair pair = clog({left, right});
    left.transport.set_write_buffer_limits({.high = 0});
    if (!left.transport.is_closing()) {
      left.transport.set_write_buffer_limits({.high = 1 * MiB, .low = 0});
    }
    unclog(pair);
    run_until([&] { return resumed() == 1 || over(); });
  }
  right.transport.write("x");
  settle();
  left.transport.resume_reading();  // if it was paused
  run_until([&] { return left.received + heir.received == "x" || over(); });
  right.transport.write_eof();
  settle();
  left.transport.resume_reading();
  run_until(over);
  settle();

  EXPECT_EQ(left.calls, expected());
  EXPECT_EQ(heir.calls, expected_of_heir());
  EXPECT_EQ(take_reports(), expected_reports());
}

}  // namespace weir::test
