#include "timer_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace weir::detail {
namespace {

using std::chrono::nanoseconds;

struct TimerHeapTest : testing::Test {
  Entry& add(int deadline, int id) {
    Entry& entry = entries.acquire([this, id] { ran.push_back(id); }, nullptr);
    heap.push(TimerHeap::TimePoint(nanoseconds(deadline)), entry);
    return entry;
  }
  void cancel(Entry& entry) {
    entry.callback.reset();
    heap.note_cancelled();
  }
  void run_until(int now) {
    std::vector<Entry*> due;
    heap.pop_due(TimerHeap::TimePoint(nanoseconds(now)), due);
    for (Entry* entry : due) {
      if (entry->callback) {
        entry->callback();
      } else {
        heap.note_released();
      }
      entries.release(*entry);
    }
  }

  SlotPool slots;
  EntryPool entries{slots};
  TimerHeap heap{entries};
  std::vector<int> ran;
};

TEST_F(TimerHeapTest, RunsInTheOrderOfDeadlines) {
  for (int id : {5, 3, 9, 1, 7}) add(id, id);
  run_until(6);
  EXPECT_EQ(ran, (std::vector{1, 3, 5}));
  run_until(100);
  EXPECT_EQ(ran, (std::vector{1, 3, 5, 7, 9}));
}

TEST_F(TimerHeapTest, EqualDeadlinesRunInTheOrderOfScheduling) {
  std::vector<int> expected;
  for (int id = 0; id < 100; ++id) {
    add(1, id);
    expected.push_back(id);
  }
  run_until(1);
  EXPECT_EQ(ran, expected);
}

TEST_F(TimerHeapTest, CancelledOnesAreSkipped) {
  Entry& first = add(1, 1);
  add(2, 2);
  cancel(first);
  EXPECT_EQ(heap.earliest(), TimerHeap::TimePoint(nanoseconds(2)));
  run_until(2);
  EXPECT_EQ(ran, (std::vector{2}));
}

TEST_F(TimerHeapTest, IsRebuiltWhenMostAreCancelled) {
  std::vector<Entry*> cancelled;
  for (int id = 0; id < 1000; ++id) {
    Entry& entry = add(1000 - id, id);
    if (id % 10 != 0) cancelled.push_back(&entry);
  }
  for (Entry* entry : cancelled) cancel(*entry);
  EXPECT_LT(heap.size(), 300U);
  run_until(1000);
  ASSERT_EQ(ran.size(), 100U);
  EXPECT_EQ(ran.front(), 990);
  EXPECT_EQ(ran.back(), 0);
}

TEST_F(TimerHeapTest, AgreesWithASortOnRandomDeadlines) {
  std::mt19937 random(20260101);
  std::vector<std::pair<int, int>> expected;
  for (int id = 0; id < 5000; ++id) {
    const int deadline = static_cast<int>(random() % 700);
    add(deadline, id);
    expected.emplace_back(deadline, id);
  }
  std::sort(expected.begin(), expected.end());
  run_until(700);
  ASSERT_EQ(ran.size(), expected.size());
  for (std::size_t i = 0; i < ran.size(); ++i) EXPECT_EQ(ran[i], expected[i].second);
}

}  // namespace
}  // namespace weir::detail
