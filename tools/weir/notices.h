// Standard error for people: lines that stay, and below them one that changes.
#pragma once

#include <string>
#include <string_view>

namespace weir_tool {

class Notices {
 public:
  Notices();
  Notices(const Notices&) = delete;
  Notices& operator=(const Notices&) = delete;
  ~Notices() { clear(); }

  /// Whether standard error is a terminal.
  bool interactive() const { return interactive_; }

  /// A line that stays.
  void line(std::string_view text);
  /// Replaces the line that changes; where there is no terminal, a line as any other.
  void status(std::string_view text);

 private:
  void clear();

  bool interactive_;
  std::string shown_;  // of the line that changes
};

}  // namespace weir_tool
