#include "intrusive_list.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace weir::detail {
namespace {

struct TestTag;
struct Item : ListNode<TestTag> {
  explicit Item(int number) : value(number) {}
  int value;
};
using List = IntrusiveList<Item, TestTag>;

std::vector<int> drain(List& list) {
  std::vector<int> values;
  while (!list.empty()) values.push_back(list.pop_front().value);
  return values;
}

TEST(IntrusiveListTest, IsFirstInFirstOut) {
  List list;
  Item a(1), b(2), c(3);
  list.push_back(a);
  list.push_back(b);
  list.push_back(c);
  EXPECT_EQ(drain(list), (std::vector{1, 2, 3}));
}

TEST(IntrusiveListTest, AnObjectLeavesItsListWhenDestroyed) {
  List list;
  Item a(1), c(3);
  list.push_back(a);
  {
    Item b(2);
    list.push_back(b);
    list.push_back(c);
  }
  EXPECT_EQ(drain(list), (std::vector{1, 3}));
}

TEST(IntrusiveListTest, AListLeavesItsObjectsWhenDestroyed) {
  Item a(1);
  {
    List list;
    list.push_back(a);
  }
  EXPECT_FALSE(a.linked());
}

TEST(IntrusiveListTest, SplicesInOrder) {
  List first, second;
  Item a(1), b(2), c(3);
  first.push_back(a);
  second.push_back(b);
  second.push_back(c);
  first.splice_back(second);
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(drain(first), (std::vector{1, 2, 3}));
}

TEST(IntrusiveListTest, TheVisitorMayUnlinkWhatItIsGiven) {
  List list;
  Item a(1), b(2), c(3);
  for (Item* item : {&a, &b, &c}) list.push_back(*item);
  list.for_each([](Item& item) {
    if (item.value != 2) item.unlink();
  });
  EXPECT_EQ(drain(list), (std::vector{2}));
}

}  // namespace
}  // namespace weir::detail
