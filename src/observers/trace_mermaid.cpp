#include <weir/trace.h>

#include <cctype>
#include <string>
#include <string_view>

#include "trace_picture.h"
#include "trace_text.h"

namespace weir::inline v0 {
namespace detail {
namespace {

bool is_letter(std::string_view text, std::size_t index) {
  return index < text.size() && std::isalnum(static_cast<unsigned char>(text[index])) != 0;
}

/// Mermaid takes these for its own, wherever they are in a line.
bool begins_keyword(std::string_view text, std::size_t index) {
  const std::string_view rest = text.substr(index);
  if (rest.starts_with("style") || rest.starts_with("classDef")) return true;
  return rest.starts_with("end") && !is_letter(text, index + 3) &&
         (index == 0 || !is_letter(text, index - 1));
}

/// Any text, with what Mermaid or HTML would understand as numbers of characters: "#59;".
std::string in_mermaid(std::string_view anything) {
  static constexpr std::string_view special = "#;<>&\"%$\\`{}";
  const std::string text = printable(anything);
  std::string result;
  for (std::size_t index = 0; index < text.size(); ++index) {
    const char character = text[index];
    if (special.find(character) != std::string_view::npos || begins_keyword(text, index)) {
      result += '#' + std::to_string(static_cast<int>(character)) + ';';
    } else {
      result += character;
    }
  }
  return result;
}

std::string participant(std::size_t lifeline) { return 'p' + std::to_string(lifeline + 1); }

/// "client 10.0.0.2:1234", without the loop if there is but one.
std::string title_of(const Lifeline& lifeline, bool with_loop) {
  const bool has_loop = with_loop && !lifeline.loop.empty();
  return has_loop ? lifeline.loop + ' ' + lifeline.name : lifeline.name;
}

std::string line_of(const Event& event, const Picture& picture) {
  const std::string when = duration_text(event.entry->begin - picture.begin) + " ";
  if (event.is_note()) {
    if (picture.lifelines.empty()) return {};
    const std::string last = participant(picture.lifelines.size() - 1);
    const std::string over = picture.lifelines.size() > 1 ? "p1," + last : last;
    return "Note over " + over + ": " + when + in_mermaid(event.entry->exception);
  }
  const std::string text = when + in_mermaid(full_label_of(event, "x"));
  if (event.arrows.empty()) return "Note over " + participant(event.lifeline) + ": " + text;
  const Arrow& arrow = event.arrows.front();
  const bool is_end = event.entry->activity == Activity::connection_lost;
  const std::string latency =
      arrow.sent != arrow.received ? ", after " + duration_text(arrow.received - arrow.sent) : "";
  return participant(arrow.from) + (is_end ? "-x" : "->>") + participant(arrow.to) + ": " + text +
         latency;
}

}  // namespace
}  // namespace detail

std::string to_mermaid(const Trace& trace, const MermaidOptions& options) {
  using namespace detail;
  const Picture picture = picture_of(trace, options.view, LifelineOf::transport, Folding::folded);
  bool several_loops = false;
  for (const Lifeline& lifeline : picture.lifelines) {
    several_loops =
        several_loops || (!lifeline.outside && lifeline.loop != picture.lifelines.front().loop);
  }
  std::string text = "sequenceDiagram\n";
  for (std::size_t index = 0; index < picture.lifelines.size(); ++index) {
    text += "  participant " + participant(index) + " as " +
            in_mermaid(title_of(picture.lifelines[index], several_loops)) + '\n';
  }
  if (picture.missing > 0 && !picture.lifelines.empty()) {
    text += "  Note over p1: " + std::to_string(picture.missing) + " earlier entries are missing\n";
  }
  for (const Event& event : picture.events) {
    if (const std::string line = line_of(event, picture); !line.empty()) text += "  " + line + '\n';
  }
  return text;
}

}  // namespace weir::inline v0
