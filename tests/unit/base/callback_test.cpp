#include <gtest/gtest.h>
#include <weir/callback.h>

#include <array>
#include <functional>
#include <memory>

namespace weir {
namespace {

TEST(UniqueFunctionTest, CallsSmallAndLargeCallables) {
  std::array<int, 40> large{};
  large[39] = 5;
  UniqueFunction<int(int)> small = [](int x) { return x + 1; };
  UniqueFunction<int(int)> heap = [large](int x) { return x + large[39]; };
  EXPECT_EQ(small(1), 2);
  EXPECT_EQ(heap(1), 6);
  UniqueFunction<int(int)> moved = std::move(heap);
  EXPECT_FALSE(static_cast<bool>(heap));  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(moved(2), 7);
}

TEST(UniqueFunctionTest, OwnsMoveOnlyState) {
  auto owned = std::make_shared<int>(3);
  const std::weak_ptr<int> watch = owned;
  {
    Callback first = [owned = std::make_unique<std::shared_ptr<int>>(std::move(owned))] {};
    Callback second;
    second = std::move(first);
    EXPECT_FALSE(watch.expired());
    second();
  }
  EXPECT_TRUE(watch.expired());
}

TEST(UniqueFunctionTest, NothingGivesAnEmptyOne) {
  void (*pointer)() = nullptr;
  EXPECT_FALSE(static_cast<bool>(Callback(pointer)));
  EXPECT_FALSE(static_cast<bool>(Callback(std::function<void()>())));
  EXPECT_FALSE(static_cast<bool>(Callback(nullptr)));
  EXPECT_TRUE(Callback() == nullptr);
}

TEST(UniqueFunctionTest, ResetToleratesACallableThatComesBack) {
  Callback callback;
  struct Back {
    Callback* target;
    bool armed;
    Back(Callback* callback_to_reset, bool is_armed) : target(callback_to_reset), armed(is_armed) {}
    Back(Back&& other) noexcept : target(other.target), armed(std::exchange(other.armed, false)) {}
    Back& operator=(Back&&) = delete;
    ~Back() {
      if (armed) target->reset();
    }
    void operator()() const {}
  };
  callback = Back(&callback, true);
  callback.reset();
  EXPECT_FALSE(static_cast<bool>(callback));
}

}  // namespace
}  // namespace weir
