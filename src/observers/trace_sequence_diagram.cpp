// A trace as text. Each event is a row of cells: first the lifelines, then what goes from one to another, then words.
#include <weir/trace.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trace_picture.h"
#include "trace_text.h"

namespace weir::inline v0 {
namespace detail {
namespace {

constexpr std::size_t time_columns = 9;
/// Where lifelines and their words begin.
constexpr std::size_t left_margin = time_columns + 2;
/// With less from one lifeline to the next nothing can be read.
constexpr std::size_t least_spacing = 20;
constexpr std::size_t least_width = 40;

enum class Ink : std::uint8_t { plain, bold, faint, green, cyan, yellow, red };

std::string_view code_of(Ink ink) {
  switch (ink) {
    case Ink::plain: return "";
    case Ink::bold: return "\x1b[1m";
    case Ink::faint: return "\x1b[2m";
    case Ink::green: return "\x1b[32m";
    case Ink::cyan: return "\x1b[36m";
    case Ink::yellow: return "\x1b[33m";
    case Ink::red: return "\x1b[31m";
  }
  return "";
}

/// The signs that diagrams are drawn with.
struct Signs {
  std::string_view line, shaft, right, left, callback, call_right, call_left, ellipsis, times;
};
constexpr Signs unicode_signs{"│", "─", "▶", "◀", "●", "├", "┤", "…", "×"};
constexpr Signs ascii_signs{"|", "-", ">", "<", "*", "+", "+", "..", "x"};

/// One line of text, a character in each cell.
class CellRow {
 public:
  explicit CellRow(std::size_t columns) : cells_(columns) {}

  void put(std::size_t column, std::string_view character, Ink ink) {
    if (column < cells_.size()) cells_[column] = {std::string(character), ink};
  }
  void write(std::size_t column, std::string_view text, Ink ink) {
    while (!text.empty()) {
      std::size_t size = 1;
      while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80) ++size;
      put(column++, text.substr(0, size), ink);
      text.remove_prefix(size);
    }
  }

  std::string text(bool colours) const {
    std::string text;
    Ink ink = Ink::plain;
    std::size_t spaces = 0;
    for (const Cell& cell : cells_) {
      if (cell.character == " ") {
        ++spaces;
        continue;
      }
      if (colours && cell.ink != ink) {
        if (ink != Ink::plain) text += "\x1b[0m";
        text.append(std::exchange(spaces, 0), ' ');
        text += code_of(ink = cell.ink);
      }
      text.append(std::exchange(spaces, 0), ' ');
      text += cell.character;
    }
    if (ink != Ink::plain) text += "\x1b[0m";
    return text + '\n';
  }

 private:
  struct Cell {
    std::string character = " ";
    Ink ink = Ink::plain;
  };
  std::vector<Cell> cells_;
};

/// Where lifelines are. Of two, the words of the first are to its left, so that arrows have the middle.
class Layout {
 public:
  Layout(const Picture& picture, std::size_t width) : width_(width) {
    const std::size_t count = picture.lifelines.size();
    mirrored_ = count == 2;
    if (mirrored_) {
      const std::size_t gap = 16 + (width - std::min<std::size_t>(width, 80)) / 4;
      const std::size_t words = width - std::min(width, left_margin + gap + 4);
      // Who is outside has a name, but no words.
      const std::size_t right = picture.lifelines[1].outside
                                    ? std::min(words / 2, columns_of(picture.lifelines[1].name))
                                    : words / 2;
      columns_ = {left_margin + words - right + 1, left_margin + words - right + 1 + gap};
      return;
    }
    const std::size_t room = width - std::min(width, left_margin);
    const std::size_t spacing = std::max(least_spacing, room / std::max<std::size_t>(1, count));
    for (std::size_t index = 0; index < count; ++index) {
      if (left_margin + (index + 1) * spacing <= std::max(width, left_margin + spacing)) {
        columns_.push_back(left_margin + index * spacing);
      }
    }
  }

  /// How many lifelines there is room for.
  std::size_t count() const { return columns_.size(); }
  std::size_t width() const { return width_; }
  std::size_t column(std::size_t lifeline) const { return columns_[lifeline]; }
  bool words_to_the_left(std::size_t lifeline) const { return mirrored_ && lifeline == 0; }
  /// How many columns the words at `lifeline` may have.
  std::size_t words(std::size_t lifeline) const {
    const std::size_t column = columns_[lifeline];
    if (words_to_the_left(lifeline)) return column - left_margin - 1;
    const std::size_t end = lifeline + 1 < count() ? columns_[lifeline + 1] - 1 : width_;
    return end - std::min(end, column + 2);
  }

 private:
  std::size_t width_;
  bool mirrored_ = false;
  std::vector<std::size_t> columns_;
};

class Diagram {
 public:
  Diagram(const Picture& picture, const SequenceDiagramOptions& options)
      : picture_(picture),
        options_(options),
        signs_(options.unicode ? unicode_signs : ascii_signs),
        layout_(picture, std::max(least_width, options.width)) {}

  bool has_room() const { return layout_.count() == picture_.lifelines.size(); }

  std::string text() const {
    if (picture_.events.empty()) return "nothing happened\n";
    std::string text = header();
    if (picture_.missing > 0) {
      text += band(std::to_string(picture_.missing) + " earlier entries are missing", {});
    }
    for (const Event& event : picture_.events) text += row(event);
    if (!has_room()) {
      text += std::string(left_margin, ' ') +
              std::to_string(picture_.lifelines.size() - layout_.count()) +
              " more lifelines have no room\n";
    }
    return text;
  }

 private:
  std::string clean(std::string_view text) const {
    return printable(text, options_.unicode ? Charset::unicode : Charset::ascii);
  }
  std::string when(TraceEntry::TimePoint time) const {
    return duration_text(time - picture_.begin);
  }
  static bool is_call(const Event& event) { return !is_callback(event.entry->activity); }

  std::string header() const;
  std::string header_row(std::string Lifeline::*words) const;
  std::string band(std::string_view words, std::string_view time) const;
  std::string row(const Event& event) const;
  CellRow empty_row(std::string_view time) const;
  void draw_arrow(CellRow& row, const Event& event) const;
  std::string words_of(const Event& event, std::size_t room) const;
  void draw_words(CellRow& row, const Event& event) const;
  Ink ink_of(const Event& event) const;

  const Picture& picture_;
  const SequenceDiagramOptions& options_;
  const Signs& signs_;
  Layout layout_;
};

std::string Diagram::header() const {
  std::string text;
  const auto is_other = [&](const Lifeline& line) {
    return !line.outside && line.loop != picture_.lifelines.front().loop;
  };
  const bool shows_loops = std::ranges::any_of(picture_.lifelines, is_other);
  if (shows_loops) text += header_row(&Lifeline::loop);
  return text + header_row(&Lifeline::name);
}

std::string Diagram::header_row(std::string Lifeline::*words) const {
  CellRow row(layout_.width());
  for (std::size_t line = 0; line < layout_.count(); ++line) {
    const bool left = layout_.words_to_the_left(line);
    const std::string text = fitted(clean(picture_.lifelines[line].*words),
                                    layout_.words(line) + (left ? 0 : 1), signs_.ellipsis);
    const std::size_t column = layout_.column(line);
    row.write(left ? column - 1 - columns_of(text) : column, text, Ink::bold);
  }
  return row.text(options_.colours);
}

CellRow Diagram::empty_row(std::string_view time) const {
  CellRow row(layout_.width());
  row.write(time_columns - std::min(time_columns, time.size()), time, Ink::faint);
  for (std::size_t line = 0; line < layout_.count(); ++line) {
    row.put(layout_.column(line), signs_.line, Ink::faint);
  }
  return row;
}

/// Something that is of all lifelines.
std::string Diagram::band(std::string_view words, std::string_view time) const {
  CellRow row = empty_row(time);
  const std::size_t end = std::max(layout_.width(), left_margin + 8);
  for (std::size_t column = left_margin; column < end; ++column) {
    row.put(column, signs_.shaft, Ink::faint);
  }
  const std::string text = fitted(clean(words), end - left_margin - 8, signs_.ellipsis);
  row.write(left_margin + 3, ' ' + text + ' ', Ink::yellow);
  return row.text(options_.colours);
}

std::string Diagram::row(const Event& event) const {
  const std::string time = when(event.entry->begin);
  if (event.is_note()) return band(event.entry->exception, time);
  if (event.lifeline >= layout_.count()) return {};
  CellRow row = empty_row(time);
  draw_arrow(row, event);
  draw_words(row, event);
  return row.text(options_.colours);
}

/// Of several only the first: they come from the same end.
void Diagram::draw_arrow(CellRow& row, const Event& event) const {
  if (event.arrows.empty()) return;
  const Arrow& arrow = event.arrows.front();
  if (arrow.from == arrow.to || std::max(arrow.from, arrow.to) >= layout_.count()) return;
  const bool to_right = arrow.from < arrow.to;
  const std::size_t first = layout_.column(std::min(arrow.from, arrow.to));
  const std::size_t last = layout_.column(std::max(arrow.from, arrow.to));
  for (std::size_t column = first + 1; column < last; ++column) {
    row.put(column, signs_.shaft, Ink::faint);
  }
  row.put(to_right ? first : last, to_right ? signs_.call_right : signs_.call_left, Ink::faint);
  row.put(to_right ? last - 1 : first + 1, to_right ? signs_.right : signs_.left, Ink::faint);
  const bool is_known = arrow.entry != 0 && !is_call(event);
  const bool has_words = !to_right && !layout_.words_to_the_left(event.lifeline);
  if (!is_known || has_words) return;
  const std::string latency = ' ' + duration_text(arrow.received - arrow.sent) + ' ';
  if (latency.size() + 4 <= last - first) {
    row.write(first + (last - first - latency.size() + 1) / 2, latency, Ink::faint);
  }
}

/// What there is room for: details only if something can be read of them.
std::string Diagram::words_of(const Event& event, std::size_t room) const {
  static constexpr std::size_t least_details = 6;
  const std::string label = label_of(event, signs_.times);
  const std::string full = clean(full_label_of(event, signs_.times));
  const bool cramped = columns_of(full) > room && room < columns_of(label) + 1 + least_details;
  return fitted(cramped ? label : full, room, signs_.ellipsis);
}

void Diagram::draw_words(CellRow& row, const Event& event) const {
  const std::size_t line = event.lifeline, column = layout_.column(line);
  const bool left = layout_.words_to_the_left(line);
  const bool call = is_call(event);
  // What leads from the lifeline to the words: the head of an arrow that comes from their side, or the dash of a
  // call within a callback.
  std::size_t lead = call ? std::min<std::size_t>(event.depth, 4) : 0;
  const bool under_arrow = !left && !event.arrows.empty() && event.arrows.front().from > line &&
                           event.arrows.front().to == line &&
                           event.arrows.front().from < layout_.count();
  if (under_arrow) lead = 2;
  const std::size_t room =
      layout_.words(line) - std::min(layout_.words(line), lead + (under_arrow ? 3 : 0));
  const std::string text = words_of(event, room);
  const Ink ink = ink_of(event);
  row.put(column, call ? (left ? signs_.call_left : signs_.call_right) : signs_.callback,
          call ? Ink::faint : ink);
  if (!under_arrow) {
    for (std::size_t dash = 1; dash <= lead; ++dash) {
      row.put(left ? column - dash : column + dash, signs_.shaft, Ink::faint);
    }
  }
  if (left) {
    row.write(column - lead - 1 - columns_of(text), text, ink);
  } else {
    row.write(column + lead + 1, ' ' + text + (under_arrow || call ? " " : ""), ink);
  }
}

Ink Diagram::ink_of(const Event& event) const {
  const TraceEntry& entry = *event.entry;
  if (entry.threw || !entry.reason.empty()) return Ink::red;
  switch (entry.activity) {
    case Activity::connection_made:
    case Activity::connection_lost: return Ink::green;
    case Activity::pause_writing:
    case Activity::resume_writing: return Ink::yellow;
    default: return is_call(event) ? Ink::plain : Ink::cyan;
  }
}

}  // namespace
}  // namespace detail

std::string to_sequence_diagram(const Trace& trace, const SequenceDiagramOptions& options) {
  using namespace detail;
  const Picture of_transports =
      picture_of(trace, options.view, LifelineOf::transport, Folding::folded);
  const Diagram diagram(of_transports, options);
  if (diagram.has_room()) return diagram.text();
  const Picture of_loops = picture_of(trace, options.view, LifelineOf::loop, Folding::folded);
  return Diagram(of_loops, options).text();
}

}  // namespace weir::inline v0
