#include "journal.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace weir::destroyer {
namespace {

Journal* current = nullptr;

}  // namespace

Journal::Journal(std::string how_to_repeat) : how_to_repeat_(std::move(how_to_repeat)) {
  current = this;
}

Journal::~Journal() { current = nullptr; }

void Journal::enter(char sign, const char* what, std::size_t who, std::size_t amount) {
  Line& line = lines_[entered_++ % lines_.size()];
  line = {sign, what, who, amount, depth_, steps_};
  if (verbose_) print(line);
  const auto mix = [this](std::uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001B3U; };
  for (const char c : std::string_view(what)) mix(static_cast<unsigned char>(c));
  mix(who);
  mix(amount);
}

void Journal::print(const Line& line) {
  std::fprintf(stderr, "%8llu %*s%c %s", static_cast<unsigned long long>(line.step),
               static_cast<int>(2 * line.depth), "", line.sign, line.what);
  if (line.who != 0) std::fprintf(stderr, " #%zu", line.who);
  if (line.amount != 0) std::fprintf(stderr, " %zu", line.amount);
  std::fputc('\n', stderr);
}

void Journal::broken(const std::string& what) const {
  std::fprintf(stderr, "\nwhat happened last (> a step, < a callback):\n");
  for (std::size_t index = entered_ - std::min(entered_, lines_.size()); index < entered_;
       ++index) {
    print(lines_[index % lines_.size()]);
  }
  std::fprintf(stderr, "\nBROKEN at step %llu: %s\nrepeat: %s\n",
               static_cast<unsigned long long>(steps_), what.c_str(), how_to_repeat_.c_str());
  std::fflush(stderr);
  static_cast<void>(std::signal(SIGABRT, SIG_DFL));  // which may be why this is called
  std::abort();
}

void Journal::ends(const char* why) {
  if (current != nullptr) current->broken(why);
  static_cast<void>(std::signal(SIGABRT, SIG_DFL));
  std::abort();
}

}  // namespace weir::destroyer
