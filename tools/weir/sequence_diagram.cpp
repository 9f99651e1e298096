#include "sequence_diagram.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir_tool {
namespace {

constexpr std::size_t client_columns = 24;
constexpr std::size_t gap_columns = 15;

/// "data_received 2.1 MiB x9".
std::string label(const Recording::Event& event, const Terminal& terminal) {
  std::string text = event.name;
  if (event.bytes > 0) text += " " + format_bytes(event.bytes);
  if (event.times > 1) text += fmt::format(" {}{}", terminal.pick("×", "x"), event.times);
  return text;
}

Style style_of(const Recording::Event& event) {
  if (event.kind == Recording::Kind::call) return Style::dim;
  if (event.name == "connection_made" || event.name == "connection_lost") return Style::green;
  if (event.name == "pause_writing" || event.name == "resume_writing") return Style::yellow;
  return Style::cyan;
}

/// fmt counts the columns of UTF-8 text, so padding comes before colour.
std::string client_label(const std::string& text) {
  return fmt::format("{:>{}}", text, client_columns);
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t count = 0; count < times; ++count) result += text;
  return result;
}

/// One line of the picture, from the client's label to the server's.
class Row {
 public:
  Row(const Recording::Event& event, const Terminal& terminal)
      : event_(event), terminal_(terminal), line_(terminal.pick("│", "|")) {}

  std::string text() const {
    const std::string padding(client_columns, ' ');
    const std::string text = label(event_, terminal_);
    if (event_.side == Side::client) {
      return fmt::format("{} {}{}{}", styled(client_label(text)), mark(), gap(), far_end());
    }
    return fmt::format("{} {}{}{} {}", padding, far_end(), gap(), mark(), styled(text));
  }

 private:
  bool is_callback() const { return event_.kind == Recording::Kind::callback; }
  bool to_the_right() const { return event_.side == Side::client; }

  std::string styled(const std::string& text) const {
    return terminal_.styled(style_of(event_), text);
  }

  /// The lifeline where the event is.
  std::string mark() const {
    if (is_callback()) return styled(std::string(terminal_.pick("●", "*")));
    return terminal_.styled(Style::dim,
                            to_the_right() ? terminal_.pick("├", "|") : terminal_.pick("┤", "|"));
  }

  std::string far_end() const { return terminal_.styled(Style::dim, line_); }

  std::string gap() const {
    if (is_callback()) return std::string(gap_columns, ' ');
    const std::string shaft = repeated(terminal_.pick("─", "-"), gap_columns - 1);
    return terminal_.styled(Style::dim, to_the_right()
                                            ? shaft + std::string(terminal_.pick("▶", ">"))
                                            : std::string(terminal_.pick("◀", "<")) + shaft);
  }

  const Recording::Event& event_;
  const Terminal& terminal_;
  std::string_view line_;
};

}  // namespace

void Recording::add(Side side, Kind kind, std::string_view name, std::uint64_t bytes) {
  if (!events_.empty() && bytes > 0) {
    Event& last = events_.back();
    if (last.side == side && last.kind == kind && last.name == name) {
      last.bytes += bytes;
      ++last.times;
      return;
    }
  }
  events_.push_back({loop_.time() - began_, side, kind, std::string(name), bytes});
}

std::string draw(const Recording& recording, const Terminal& terminal) {
  const auto title = [&](std::string_view text) { return terminal.styled(Style::bold, text); };
  std::string text = fmt::format("{:>9}  {}{}{}\n", "", title(client_label("client protocol")),
                                 std::string(gap_columns + 4, ' '), title("server protocol"));
  for (const Recording::Event& event : recording.events()) {
    const std::string when = fmt::format("{:>9}", format_duration(event.when));
    text += terminal.styled(Style::dim, when) + "  " + Row(event, terminal).text() + "\n";
  }
  return text;
}

}  // namespace weir_tool
