#include <weir/trace.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "trace_picture.h"
#include "trace_text.h"

namespace weir::inline v0 {
namespace detail {
namespace {

// In pixels.
constexpr int left_margin_width = 90;
constexpr int words_width = 280;
constexpr int gap_width = 220;
constexpr int header_height = 56;
constexpr int row_height = 20;
/// A character of the words.
constexpr double character_width = 7.3;

/// All under one class, so that a page that has the picture in it keeps its own looks.
constexpr std::string_view style = R"(<style>
  .weir-trace { --paper: #ffffff; --ink: #1b1f24; --faint: #6a737d; --line: #c4cad1;
    --good: #1a7f37; --data: #0a6080; --flow: #8a5a00; --bad: #b3261e; }
  @media (prefers-color-scheme: dark) {
    .weir-trace { --paper: #16191d; --ink: #e8eaed; --faint: #9aa4ae; --line: #4a525b;
      --good: #56d364; --data: #6cc7e8; --flow: #e3b341; --bad: #ff8a80; } }
  .weir-trace text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    fill: var(--ink); stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round;
    paint-order: stroke; }
  .weir-trace .paper { fill: var(--paper); }
  .weir-trace .name { font-weight: bold; }
  .weir-trace .left { text-anchor: end; }
  .weir-trace .middle { text-anchor: middle; }
  .weir-trace .time { fill: var(--faint); }
  .weir-trace .latency { fill: var(--faint); font-size: 10px; }
  .weir-trace .life { stroke: var(--line); stroke-width: 1.5; }
  .weir-trace .outside { stroke-dasharray: 4 4; }
  .weir-trace .arrow { stroke: var(--faint); stroke-width: 1.2; }
  .weir-trace .head { fill: var(--faint); }
  .weir-trace .note { stroke: var(--flow); stroke-dasharray: 6 4; }
  .weir-trace .fault { fill: var(--flow); font-weight: bold; }
  .weir-trace .call { fill: var(--paper); stroke: var(--faint); }
  .weir-trace .good { fill: var(--good); }
  .weir-trace .data { fill: var(--data); }
  .weir-trace .flow { fill: var(--flow); }
  .weir-trace .bad { fill: var(--bad); }
</style>
<defs><marker id="weir-head" viewBox="0 0 8 8" refX="12" refY="4" markerWidth="8" markerHeight="8"
  orient="auto"><path class="head" d="M0 0 8 4 0 8Z"/></marker></defs>
)";

/// Any text as content or attribute of XML.
std::string in_xml(std::string_view anything) {
  std::string result;
  for (const char character : printable(anything)) {
    switch (character) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += character;
    }
  }
  return result;
}

std::string attribute(std::string_view name, int value) {
  return ' ' + std::string(name) + R"(=")" + std::to_string(value) + '"';
}

std::string line(std::string_view kind, int x1, int y1, int x2, int y2) {
  return R"(<line class=")" + std::string(kind) + '"' + attribute("x1", x1) + attribute("y1", y1) +
         attribute("x2", x2) + attribute("y2", y2);
}

/// Words in at most `width` pixels; all of them show when one points there.
std::string words(std::string_view kind, int x, int y, std::string_view anything, int width) {
  const std::string text = printable(anything);
  const std::string shown =
      fitted(text, static_cast<std::size_t>(width / character_width), "\u2026");
  const std::string whole = shown != text ? "<title>" + in_xml(text) + "</title>" : "";
  return R"(<text class=")" + std::string(kind) + '"' + attribute("x", x) + attribute("y", y + 4) +
         '>' + whole + in_xml(shown) + "</text>\n";
}

class Drawing {
 public:
  explicit Drawing(const Picture& picture)
      : picture_(picture), mirrored_(picture.lifelines.size() == 2) {
    place_rows();
  }

  std::string text() const {
    const int width = this->width(), height = bottom() + row_height;
    std::string text =
        R"(<svg xmlns="http://www.w3.org/2000/svg" class="weir-trace" viewBox="0 0 )" +
        std::to_string(width) + ' ' + std::to_string(height) + '"' + attribute("width", width) +
        attribute("height", height) + ">\n";
    text += std::string(style) + R"(<rect class="paper")" + attribute("width", width) +
            attribute("height", height) + "/>\n" + lifelines();
    if (picture_.missing > 0) {
      text += words("fault", 8, header_height - 8,
                    std::to_string(picture_.missing) + " earlier entries are missing", width - 16);
    }
    for (const Event& event : picture_.events) text += arrows(event);
    for (std::size_t row = 0; row < rows_.size(); ++row) text += event(row);
    return text + "</svg>\n";
  }

 private:
  void place_rows();
  int x(std::size_t lifeline) const {
    if (mirrored_) return left_margin_width + words_width + static_cast<int>(lifeline) * gap_width;
    return left_margin_width + 10 + static_cast<int>(lifeline) * (words_width + 20);
  }
  int width() const {
    const std::size_t last = std::max<std::size_t>(1, picture_.lifelines.size()) - 1;
    return x(last) + words_width;
  }
  int bottom() const {
    return rows_.empty() ? header_height + row_height : rows_.back() + row_height;
  }
  bool is_left(std::size_t lifeline) const { return mirrored_ && lifeline == 0; }

  std::string lifelines() const;
  std::string arrows(const Event& event) const;
  std::string event(std::size_t row) const;
  static std::string_view kind_of(const TraceEntry& entry);

  const Picture& picture_;
  bool mirrored_;
  std::vector<int> rows_;  ///< the height of each event
};

/// More room where more time passes: ten times as much takes a quarter of a row.
void Drawing::place_rows() {
  int y = header_height + row_height;
  const Event* last = nullptr;
  for (const Event& event : picture_.events) {
    if (last != nullptr) {
      const std::chrono::duration<double, std::micro> passed =
          event.entry->begin - last->entry->begin;
      y += row_height + static_cast<int>(5 * std::log10(1 + std::max(0.0, passed.count())));
    }
    rows_.push_back(y);
    last = &event;
  }
}

std::string Drawing::lifelines() const {
  std::string text;
  for (std::size_t index = 0; index < picture_.lifelines.size(); ++index) {
    const Lifeline& lifeline = picture_.lifelines[index];
    const std::string kind = is_left(index) ? "name left" : "name";
    text += line(lifeline.outside ? "life outside" : "life", x(index), header_height, x(index),
                 bottom()) +
            "/>\n";
    text += words(kind, x(index), 18, lifeline.loop, words_width);
    if (lifeline.name != lifeline.loop)
      text += words(kind, x(index), 36, lifeline.name, words_width);
  }
  return text;
}

/// From when each was sent, if that is in the picture.
std::string Drawing::arrows(const Event& event) const {
  std::string text;
  std::size_t last_row = Event::everywhere;
  for (const Arrow& arrow : event.arrows) {
    if (arrow.from == arrow.to) continue;
    const int y = rows_[picture_.event_of.at(event.entry->number)];
    const auto sender = picture_.event_of.find(arrow.entry);
    const std::size_t row = sender != picture_.event_of.end() ? sender->second : Event::everywhere;
    if (row == last_row && row != Event::everywhere) continue;  // of what was folded
    last_row = row;
    const int sent = row != Event::everywhere ? rows_[row] : y;
    text +=
        line("arrow", x(arrow.from), sent, x(arrow.to), y) + " marker-end=\"url(#weir-head)\"/>\n";
    if (sent != y) {
      text += words("latency middle", (x(arrow.from) + x(arrow.to)) / 2, (sent + y) / 2 - 6,
                    duration_text(arrow.received - arrow.sent), gap_width);
    }
  }
  return text;
}

std::string_view Drawing::kind_of(const TraceEntry& entry) {
  if (entry.threw || !entry.reason.empty()) return "bad";
  switch (entry.activity) {
    case Activity::connection_made:
    case Activity::connection_lost: return "good";
    case Activity::pause_writing:
    case Activity::resume_writing: return "flow";
    default: return is_callback(entry.activity) ? "data" : "plain";
  }
}

std::string Drawing::event(std::size_t row) const {
  const Event& event = picture_.events[row];
  const TraceEntry& entry = *event.entry;
  const int y = rows_[row];
  std::string text = words("time left", left_margin_width - 10, y,
                           duration_text(entry.begin - picture_.begin), left_margin_width);
  if (event.is_note()) {
    return text + line("note", left_margin_width, y, width() - 10, y) + "/>\n" +
           words("fault", left_margin_width + 8, y, entry.exception,
                 width() - left_margin_width - 16);
  }
  const int at = x(event.lifeline);
  const bool left = is_left(event.lifeline);
  const int indent = 10 + 8 * static_cast<int>(std::min<std::size_t>(event.depth, 4));
  const std::string kind(kind_of(entry));
  if (is_callback(entry.activity)) {
    text += R"(<circle class=")" + kind + '"' + attribute("cx", at) + attribute("cy", y) +
            " r=\"4\"/>\n";
  } else {
    text += R"(<rect class="call")" + attribute("x", at - 3) + attribute("y", y - 3) +
            " width=\"6\" height=\"6\"/>\n";
  }
  return text + words(kind + (left ? " left" : ""), left ? at - indent : at + indent, y,
                      full_label_of(event, "\u00d7"), words_width - indent);
}

}  // namespace
}  // namespace detail

std::string to_svg(const Trace& trace, const SvgOptions& options) {
  using namespace detail;
  return Drawing(picture_of(trace, options.view, LifelineOf::transport, Folding::folded)).text();
}

}  // namespace weir::inline v0
