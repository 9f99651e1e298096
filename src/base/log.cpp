#include <weir/log.h>

#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

#include "log_record.h"

namespace weir::inline v0 {
namespace {

struct Sink {
  std::mutex mutex;
  LogSink function;
};

/// Never destroyed: the last loop may log after main() returned.
Sink& sink() {
  static auto* const instance = new Sink;
  return *instance;
}

void write_to_stderr(LogLevel level, std::string_view text) {
  if (level < LogLevel::warning) return;
  std::string line("weir: ");
  line.append(to_string(level)).append(": ").append(text).append("\n");
  // There is nowhere left to report a standard error that cannot be written.
  static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
}

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "unknown";
}

void set_log_sink(LogSink function) {
  LogSink old = std::move(function);
  const std::lock_guard lock(sink().mutex);
  std::swap(sink().function, old);
}

namespace detail {

void log_record(LogLevel level, std::string_view text) noexcept {
  try {
    const std::lock_guard lock(sink().mutex);
    if (sink().function) {
      sink().function(level, text);
    } else {
      write_to_stderr(level, text);
    }
  } catch (...) {
    // The contract gives a record one chance; its failure must not become the caller's.
    return;
  }
}

}  // namespace detail
}  // namespace weir::inline v0
