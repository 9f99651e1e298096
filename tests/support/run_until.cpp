#include "run_until.h"

#include <stdexcept>
#include <string>

namespace weir::test {

void give_up(std::source_location where) {
  throw std::runtime_error("not reached within " + std::to_string(patience.count()) +
                           " seconds: the condition at " + where.file_name() + ':' +
                           std::to_string(where.line()));
}

void run_until(EventLoop& loop, const std::function<bool()>& condition,
               std::source_location where) {
  using std::chrono::steady_clock;
  const auto loop_start = loop.time();
  const auto wall_start = steady_clock::now();
  while (!condition()) {
    if (loop.time() - loop_start > patience || steady_clock::now() - wall_start > patience) {
      give_up(where);
    }
    loop.run_once(std::chrono::milliseconds(100));
  }
}

}  // namespace weir::test
