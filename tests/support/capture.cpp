#include "capture.h"

#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>
#include <utility>

#include "run_until.h"

namespace weir::test {

LogCapture::LogCapture() {
  set_log_sink([shared = shared_](LogLevel level, std::string_view text) {
    if (level < LogLevel::warning) return;
    const std::lock_guard lock(shared->mutex);
    shared->records.push_back(std::string(to_string(level)) + ": " + std::string(text));
  });
}

LogCapture::~LogCapture() { set_log_sink({}); }

Calls LogCapture::take() {
  const std::lock_guard lock(shared_->mutex);
  return std::exchange(shared_->records, {});
}

ReportCapture::ReportCapture(EventLoop& loop) {
  loop.set_exception_handler([reports = reports_](EventLoop&, const ExceptionContext& context) {
    reports->push_back({context.message, what(context.exception),
                        context.transport.has_value() || context.datagram_transport.has_value(),
                        context.protocol != nullptr});
  });
}

std::vector<Report> ReportCapture::take_whole() { return std::exchange(*reports_, {}); }

Calls ReportCapture::take() {
  Calls texts;
  for (const Report& report : take_whole()) {
    const std::string in_callback = "Exception in callback";
    texts.push_back(report.message.starts_with(in_callback) ? in_callback : report.message);
    if (!report.exception.empty()) texts.back() += " [" + report.exception + ']';
  }
  return texts;
}

std::string what(const std::exception_ptr& exception) {
  if (exception == nullptr) return {};
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "(no std::exception)";
  }
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  // One of them is the directory itself.
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries))) - 1;
}

std::size_t settled_descriptors(std::size_t expected) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    const std::size_t open = open_descriptors();
    if (open <= expected || std::chrono::steady_clock::now() >= deadline) return open;
    std::this_thread::yield();
  }
}

}  // namespace weir::test
