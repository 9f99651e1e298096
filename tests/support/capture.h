#pragma once

#include <weir/weir.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "calls.h"

namespace weir::test {

/// Takes the log records of the process while it lives: "warning: text". Debug and info are left
/// out.
class LogCapture {
 public:
  LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture();

  /// The records since the last call.
  Calls take();

 private:
  struct Shared {
    std::mutex mutex;
    Calls records;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

/// One call of the exception handler.
struct Report {
  std::string message;
  std::string exception;  ///< what() of it; empty when there is none
  bool has_transport = false;
  bool has_protocol = false;
};

/// Takes what a loop reports to its exception handler.
class ReportCapture {
 public:
  explicit ReportCapture(EventLoop& loop);

  /// The reports since the last call.
  std::vector<Report> take_whole();

  /// The same as text: "message [exception]". What stands behind "Exception in callback" is left
  /// out.
  Calls take();

 private:
  std::shared_ptr<std::vector<Report>> reports_ = std::make_shared<std::vector<Report>>();
};

/// What `exception` says; "(no std::exception)" for other types, nothing for a null pointer.
std::string what(const std::exception_ptr& exception);

/// How many descriptors this process has open.
std::size_t open_descriptors();

/// open_descriptors(), once there are no more than `expected` or patience is over. A thread that nobody
/// waits for, a resolver's for one, may open some for a moment at any time: whoever waits and then looks
/// again may see them.
std::size_t settled_descriptors(std::size_t expected);

}  // namespace weir::test
