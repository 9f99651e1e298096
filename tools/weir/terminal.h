// How to write for a person: colours, drawing characters, units.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir_tool {

enum class Style { plain, bold, dim, green, cyan, yellow, red };

/// What standard output can show. Colours are for terminals only, and never if NO_COLOR is set.
class Terminal {
 public:
  Terminal();

  bool interactive() const { return interactive_; }
  bool unicode() const { return unicode_; }
  bool colours() const { return colours_; }
  /// In columns; 80 when it cannot be known.
  int width() const;

  /// `text` in `style`, if there are colours.
  std::string styled(Style style, std::string_view text) const;

  /// A bar of `fraction` of `columns`, to an eighth of a column where the characters allow it.
  std::string bar(double fraction, int columns) const;

  /// `unicode` if it can be shown, else `ascii`.
  std::string_view pick(std::string_view unicode, std::string_view ascii) const {
    return unicode_ ? unicode : ascii;
  }

 private:
  bool interactive_;
  bool colours_;
  bool unicode_;
};

/// "75.3 us", "1.20 ms", "2.00 s": three digits.
std::string format_duration(std::chrono::nanoseconds duration);

/// "64 B", "1.5 KiB", "2.0 MiB".
std::string format_bytes(std::uint64_t bytes);

/// "1,234,567".
std::string format_count(std::uint64_t count);

}  // namespace weir_tool
