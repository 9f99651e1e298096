#include "flow_control.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace weir::detail {
namespace {

constexpr std::size_t KiB = 1024;

// F1: the default marks are 64 and 16 KiB.
TEST(FlowControlTest, HasTheDefaultsOfAsyncio) {
  EXPECT_EQ(FlowControl().limits(),
            (EffectiveWriteBufferLimits{.low = 16 * KiB, .high = 64 * KiB}));
}

// F2: what is not given follows from what is.
TEST(FlowControlTest, DerivesTheMarkThatIsNotGiven) {
  FlowControl control;
  control.set_limits({.high = 10});
  EXPECT_EQ(control.limits(), (EffectiveWriteBufferLimits{.low = 2, .high = 10}));
  control.set_limits({.low = 10});
  EXPECT_EQ(control.limits(), (EffectiveWriteBufferLimits{.low = 10, .high = 40}));
  control.set_limits({.high = 0});
  EXPECT_EQ(control.limits(), (EffectiveWriteBufferLimits{.low = 0, .high = 0}));
  control.set_limits({});
  EXPECT_EQ(control.limits(), FlowControl().limits());
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  control.set_limits({.low = most / 2});
  EXPECT_EQ(control.limits(), (EffectiveWriteBufferLimits{.low = most / 2, .high = most}));
}

// F3: a low mark over the high one is refused, and the old marks stay.
TEST(FlowControlTest, RefusesALowMarkOverTheHighOne) {
  FlowControl control;
  EXPECT_THROW(control.set_limits({.high = 0, .low = 1}), std::invalid_argument);
  EXPECT_EQ(control.limits(), FlowControl().limits());
}

// F5: strictly over the high mark pauses, once; F6: at the low mark or under it resumes, once.
TEST(FlowControlTest, PausesStrictlyOverAndResumesAtOrUnder) {
  FlowControl control;
  control.set_limits({.high = 8, .low = 2});
  EXPECT_FALSE(control.grown(8));
  EXPECT_TRUE(control.grown(9));
  EXPECT_FALSE(control.grown(10));
  EXPECT_FALSE(control.shrunk(3));
  EXPECT_TRUE(control.shrunk(2));
  EXPECT_FALSE(control.shrunk(0));
}

// F15: with a high mark of 0 any byte pauses, and only an empty queue resumes.
TEST(FlowControlTest, ZeroMarksPauseOnAnyByte) {
  FlowControl control;
  control.set_limits({.high = 0});
  EXPECT_FALSE(control.grown(0));
  EXPECT_TRUE(control.grown(1));
  EXPECT_FALSE(control.shrunk(1));
  EXPECT_TRUE(control.shrunk(0));
}

}  // namespace
}  // namespace weir::detail
