#include "byte_queue.h"

#include <gtest/gtest.h>
#include <weir/buffer.h>

#include <array>
#include <string>
#include <vector>

namespace weir::detail {
namespace {

std::string contents(const ByteQueue& queue) {
  std::array<std::span<const std::byte>, 64> pieces;
  std::string text;
  const std::size_t count = queue.peek(pieces);
  for (std::size_t i = 0; i < count; ++i) text += as_text(pieces[i]);
  return text;
}

struct ByteQueueTest : testing::Test {
  ChunkPool pool;
  ByteQueue queue{pool};
};

TEST_F(ByteQueueTest, KeepsOrderOverCopiesAndOwnedBuffers) {
  queue.append(as_bytes("one "));
  queue.append(Buffer(std::string("xxtwo ")), 2);
  queue.append(as_bytes("three"));
  EXPECT_EQ(queue.size(), 13U);
  EXPECT_EQ(contents(queue), "one two three");
}

TEST_F(ByteQueueTest, ConsumesAcrossPieces) {
  queue.append(as_bytes("one "));
  queue.append(Buffer(std::string("two ")), 0);
  queue.append(as_bytes("three"));
  queue.consume(6);
  EXPECT_EQ(contents(queue), "o three");
  queue.consume(7);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(contents(queue), "");
  queue.append(as_bytes("again"));
  EXPECT_EQ(contents(queue), "again");
}

TEST_F(ByteQueueTest, WhatIsInItNeverMoves) {
  queue.append(as_bytes("first"));
  std::array<std::span<const std::byte>, 1> before;
  ASSERT_EQ(queue.peek(before), 1U);
  queue.append(std::vector<std::byte>(200'000));
  std::array<std::span<const std::byte>, 1> after;
  ASSERT_EQ(queue.peek(after), 1U);
  EXPECT_EQ(before[0].data(), after[0].data());
  EXPECT_EQ(as_text(before[0]), "first");
}

TEST_F(ByteQueueTest, ReleasesABufferOnceWhenItsLastByteIsConsumed) {
  int released = 0;
  const std::string text = "owned";
  queue.append(Buffer(as_bytes(text), [&] { ++released; }), 0);
  queue.consume(4);
  EXPECT_EQ(released, 0);
  queue.consume(1);
  EXPECT_EQ(released, 1);
}

TEST_F(ByteQueueTest, ARetiredQueueIsEmptyButKeepsItsBytesUntilItIsDestroyed) {
  int released = 0;
  const std::string text = "owned";
  {
    ByteQueue retired{pool};
    retired.append(as_bytes("copied"));
    retired.append(Buffer(as_bytes(text), [&] { ++released; }), 1);
    std::array<std::span<const std::byte>, 2> pieces;
    ASSERT_EQ(retired.peek(pieces), 2U);
    retired.retire();
    EXPECT_EQ(retired.size(), 0U);
    EXPECT_EQ(contents(retired), "");
    EXPECT_EQ(as_text(pieces[0]), "copied");
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST_F(ByteQueueTest, HoldsMoreThanTheLargestChunk) {
  std::string large;
  for (int i = 0; large.size() < 300'000; ++i) large += std::to_string(i);
  queue.append(as_bytes(large));
  EXPECT_EQ(contents(queue), large);
  queue.consume(123'456);
  EXPECT_EQ(contents(queue), large.substr(123'456));
}

TEST_F(ByteQueueTest, PeeksNoMoreThanFits) {
  for (int i = 0; i < 5; ++i) queue.append(Buffer(std::string("ab")), 0);
  std::array<std::span<const std::byte>, 3> pieces;
  EXPECT_EQ(queue.peek(pieces), 3U);
}

TEST(BufferTest, ReleasesOnceWhenMovedAbout) {
  int released = 0;
  {
    Buffer first(as_bytes("x"), [&] { ++released; });
    Buffer second(std::move(first));
    Buffer third;
    third = std::move(second);
    EXPECT_EQ(third.size(), 1U);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(BufferTest, ShortStringsKeepTheirBytesWhenMoved) {
  Buffer first{std::string("short")};
  const Buffer second(std::move(first));
  EXPECT_EQ(as_text(second.bytes()), "short");
}

}  // namespace
}  // namespace weir::detail
