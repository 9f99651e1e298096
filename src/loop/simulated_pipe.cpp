#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/simulation.h>

#include <optional>
#include <string>

#include "loop.h"

namespace weir::inline v0 {

SimulatedPipe simulated_pipe(EventLoop& loop) {
  detail::Loop& inside = detail::Loop::of(loop);
  inside.check_thread();
  inside.require_open();
  if (const std::optional<SimulatedPipe> pipe = inside.backend().make_simulated_pipe())
    return *pipe;
  throw UnsupportedOperationError(
      "simulated_pipe() needs a loop on the simulated backend, not on " +
      std::string(to_string(inside.kind())));
}

}  // namespace weir::inline v0
