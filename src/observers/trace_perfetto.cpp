#include <weir/trace.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trace_picture.h"
#include "trace_text.h"

namespace weir::inline v0 {
namespace detail {
namespace {

using std::chrono::nanoseconds;

/// Any text as a string of JSON.
std::string quoted(std::string_view anything) {
  std::string result = R"(")";
  for (const char character : printable(anything)) {
    if (character == '"' || character == '\\') result += '\\';
    result += character;
  }
  return result + '"';
}

std::string in_microseconds(nanoseconds time) {
  std::string digits = std::to_string(time.count() % 1000);
  digits.insert(0, 3 - digits.size(), '0');
  return std::to_string(time.count() / 1000) + '.' + digits;
}

/// When each entry begins and ends, since the picture begins. Things follow each other by a nanosecond at least, so that
/// one within another is seen to be that even if no time passed.
class Schedule {
 public:
  struct Span {
    nanoseconds begin{}, end{};
  };

  Schedule(const Trace& trace, TraceEntry::TimePoint origin) : origin_(origin) {
    std::vector<const TraceEntry*> open;
    const auto end_last = [&] {
      spans_[open.back()->number].end = after(open.back()->end);
      open.pop_back();
    };
    for (const TraceEntry& entry : trace.entries()) {
      while (!entry.is_note() && !open.empty() && open.back()->number != entry.inside) end_last();
      spans_[entry.number].begin = after(entry.begin);
      if (!entry.is_note()) open.push_back(&entry);
    }
    while (!open.empty()) end_last();
  }

  const Span& of(std::uint64_t entry) const { return spans_.at(entry); }

 private:
  nanoseconds after(TraceEntry::TimePoint time) {
    return last_ = std::max<nanoseconds>(time - origin_, last_ + nanoseconds(1));
  }

  TraceEntry::TimePoint origin_;
  nanoseconds last_ = nanoseconds::min();
  std::map<std::uint64_t, Span> spans_;
};

/// Writes the events of the format, one on each line.
class EventList {
 public:
  explicit EventList(const Picture& picture, const Schedule& schedule)
      : picture_(picture), schedule_(schedule) {
    for (const Lifeline& lifeline : picture.lifelines) {
      if (!lifeline.outside) loops_.emplace(lifeline.loop, loops_.size() + 1);
    }
  }

  std::string text() {
    for (const auto& [name, number] : loops_) name_process(name, number);
    for (const Lifeline& lifeline : picture_.lifelines) {
      if (!lifeline.outside) name_thread(lifeline);
    }
    for (const Event& event : picture_.events) {
      if (event.is_note()) {
        add_note(*event.entry);
        continue;
      }
      add_slice(event);
      for (const Arrow& arrow : event.arrows) add_flow(arrow, event);
    }
    return R"({"displayTimeUnit":"ns","otherData":{"missing_entries":)" +
           std::to_string(picture_.missing) + "},\"traceEvents\":[\n" + text_ + "\n]}\n";
  }

 private:
  void add(const std::string& event) { text_ += (text_.empty() ? "{" : ",\n{") + event + '}'; }

  /// The two must not meet: who has both numbers alike is taken for the first thread of a process.
  std::string place(const Lifeline& lifeline) const {
    return R"("pid":)" + std::to_string(loops_.at(lifeline.loop)) + R"(,"tid":)" +
           std::to_string(1'000'000 + lifeline.transport);
  }

  void name_process(const std::string& name, std::size_t number) {
    add(R"("ph":"M","name":"process_name","pid":)" + std::to_string(number) +
        R"(,"args":{"name":)" + quoted(name) + '}');
  }
  void name_thread(const Lifeline& lifeline) {
    add(R"("ph":"M","name":"thread_name",)" + place(lifeline) + R"(,"args":{"name":)" +
        quoted(lifeline.name) + '}');
  }
  void add_note(const TraceEntry& note) {
    add(R"("ph":"i","s":"g","cat":"fault","name":)" + quoted(note.exception) + R"(,"pid":)" +
        std::to_string(loops_.empty() ? 1 : loops_.begin()->second) + R"(,"tid":0,"ts":)" +
        in_microseconds(schedule_.of(note.number).begin));
  }
  void add_slice(const Event& event);
  void add_flow(const Arrow& arrow, const Event& event);
  static std::string arguments_of(const TraceEntry& entry);

  const Picture& picture_;
  const Schedule& schedule_;
  std::map<std::string, std::size_t> loops_;
  std::size_t flows_ = 0;
  std::string text_;
};

std::string EventList::arguments_of(const TraceEntry& entry) {
  std::string text = R"("entry":)" + std::to_string(entry.number);
  if (carries_data(entry.activity)) text += R"(,"bytes":)" + std::to_string(entry.size);
  if (!entry.data.empty()) text += R"(,"data":)" + quoted(entry.data);
  if (!entry.address.empty()) text += R"(,"address":)" + quoted(entry.address.to_string());
  if (!entry.reason.empty()) text += R"(,"reason":)" + quoted(entry.reason);
  if (entry.activity == Activity::eof_received) {
    text += std::string(R"(,"stays_open":)") + (entry.result ? "true" : "false");
  }
  if (entry.threw) text += R"(,"threw":)" + quoted(entry.exception);
  return text;
}

void EventList::add_slice(const Event& event) {
  const TraceEntry& entry = *event.entry;
  const auto [begin, end] = schedule_.of(entry.number);
  add(R"("ph":"X","cat":")" + std::string(is_callback(entry.activity) ? "callback" : "call") +
      R"(","name":)" + quoted(label_of(event, "x")) + ',' +
      place(picture_.lifelines[event.lifeline]) + R"(,"ts":)" + in_microseconds(begin) +
      R"(,"dur":)" + in_microseconds(end - begin) + R"(,"args":{)" + arguments_of(entry) + '}');
}

void EventList::add_flow(const Arrow& arrow, const Event& event) {
  if (arrow.entry == 0 || arrow.entry == event.entry->number) return;  // the other end is outside
  const std::string flow = R"("cat":"flow","name":")" +
                           std::string(to_string(event.entry->activity)) + R"(","id":)" +
                           std::to_string(++flows_) + ',';
  add(R"("ph":"s",)" + flow + place(picture_.lifelines[arrow.from]) + R"(,"ts":)" +
      in_microseconds(schedule_.of(arrow.entry).begin));
  add(R"("ph":"f","bp":"e",)" + flow + place(picture_.lifelines[arrow.to]) + R"(,"ts":)" +
      in_microseconds(schedule_.of(event.entry->number).begin));
}

}  // namespace
}  // namespace detail

std::string to_perfetto(const Trace& trace, const PerfettoOptions& options) {
  using namespace detail;
  const Picture picture = picture_of(trace, options.view, LifelineOf::transport, Folding::apart);
  return EventList(picture, Schedule(trace, picture.begin)).text();
}

}  // namespace weir::inline v0
