#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/simulation.h>

namespace weir {
namespace {

TEST(SimulatedPipeTest, IsMadeInASimulatedLoopOnly) {
  EventLoop simulated({.backend = BackendKind::simulated});
  const SimulatedPipe pipe = simulated_pipe(simulated);
  EXPECT_NE(pipe.read_end, pipe.write_end);
  simulated.close();
  EXPECT_THROW(simulated_pipe(simulated), WrongStateError);

  EventLoop real;
  EXPECT_THROW(simulated_pipe(real), UnsupportedOperationError);
}

}  // namespace
}  // namespace weir
