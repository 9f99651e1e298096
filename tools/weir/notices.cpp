#include "notices.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace weir_tool {

Notices::Notices() : interactive_(isatty(STDERR_FILENO) == 1) {}

void Notices::line(std::string_view text) {
  const std::string shown = shown_;
  clear();
  fmt::print(stderr, "{}\n", text);
  if (!shown.empty()) status(shown);
}

void Notices::status(std::string_view text) {
  if (!interactive_) {
    fmt::print(stderr, "{}\n", text);
    return;
  }
  fmt::print(stderr, "\r{}\x1b[K", text);
  std::fflush(stderr);
  shown_ = text;
}

void Notices::clear() {
  if (shown_.empty()) return;
  fmt::print(stderr, "\r\x1b[K");
  shown_.clear();
}

}  // namespace weir_tool
