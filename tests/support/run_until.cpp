#include "run_until.h"

#include <chrono>
#include <stdexcept>
#include <string>

namespace weir::test {

void run_until(EventLoop& loop, const std::function<bool()>& condition,
               std::source_location where) {
  using std::chrono::steady_clock;
  const auto deadline = std::chrono::seconds(20);
  const auto loop_start = loop.time();
  const auto wall_start = steady_clock::now();
  while (!condition()) {
    if (loop.time() - loop_start > deadline || steady_clock::now() - wall_start > deadline) {
      throw std::runtime_error("not reached within 20 seconds: the condition at " +
                               std::string(where.file_name()) + ':' + std::to_string(where.line()));
    }
    loop.run_once(std::chrono::milliseconds(100));
  }
}

}  // namespace weir::test
