#include "slot_pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace weir::detail {
namespace {

TEST(SlotPoolTest, ANameFindsItsTargetUntilItIsReleased) {
  SlotPool pool;
  int target = 7;
  const SlotRef name = pool.acquire(&target);
  const SlotRef copy = name;
  EXPECT_EQ(copy.get<int>(), &target);
  pool.release(*name.slot);
  EXPECT_EQ(copy.get<int>(), nullptr);
  EXPECT_FALSE(name.alive());
}

TEST(SlotPoolTest, AReusedSlotDoesNotAnswerToOldNames) {
  SlotPool pool;
  int first = 1;
  int second = 2;
  const SlotRef old = pool.acquire(&first);
  pool.release(*old.slot);
  const SlotRef fresh = pool.acquire(&second);
  ASSERT_EQ(fresh.slot, old.slot);
  EXPECT_EQ(old.get<int>(), nullptr);
  EXPECT_EQ(fresh.get<int>(), &second);
}

TEST(SlotPoolTest, NamesMayBeCheckedAfterThePoolIsGone) {
  std::vector<SlotRef> names;
  std::vector<int> targets(1000);
  {
    SlotPool pool;
    for (int& target : targets) names.push_back(pool.acquire(&target));
    for (const SlotRef& name : names) pool.release(*name.slot);
  }
  for (const SlotRef& name : names) EXPECT_FALSE(name.alive());
  SlotPool another;
  for (int& target : targets) static_cast<void>(another.acquire(&target));
  for (const SlotRef& name : names) EXPECT_EQ(name.get<int>(), nullptr);
}

TEST(SlotPoolTest, ADefaultNameIsDead) { EXPECT_EQ(SlotRef().get<int>(), nullptr); }

}  // namespace
}  // namespace weir::detail
