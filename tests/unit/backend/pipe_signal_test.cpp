#include "pipe_signal.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <cerrno>

namespace weir::test_backend {
namespace {

using namespace weir::detail;

// O5: the signal that a call raises ends nobody, whatever the call returns: sendfile() may have sent something.
TEST(WithoutPipeSignal, TakesTheSignalThatTheCallRaised) {
  for (const ssize_t result : {ssize_t{-1}, ssize_t{5}}) {
    EXPECT_EQ(without_pipe_signal([&] {
                ::pthread_kill(::pthread_self(), SIGPIPE);
                errno = EPIPE;
                return result;
              }),
              result);
    EXPECT_FALSE(pipe_signal_pending());
  }
}

}  // namespace
}  // namespace weir::test_backend
