#include "datagram_queue.h"

#include <gtest/gtest.h>
#include <weir/buffer.h>

#include <array>
#include <cstddef>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::detail {
namespace {

using Datagrams = std::vector<std::pair<std::string, std::string>>;

const Address there = Address::ipv4({127, 0, 0, 1}, 9);
const Address elsewhere = Address::unix_socket("/a/path/that/is/too/long/to/be/kept/inline");

class DatagramQueueTest : public ::testing::Test {
 protected:
  void append(std::string_view text, const Address* destination = nullptr) {
    queue.append({.data = as_bytes(text), .destination = destination});
  }
  /// The first `most` datagrams, each with its destination.
  Datagrams peek(std::size_t most = 1000) const {
    std::vector<OutgoingDatagram> found(most);
    found.resize(queue.peek(found));
    Datagrams datagrams;
    for (const OutgoingDatagram& datagram : found) {
      const Address* destination = datagram.destination;
      datagrams.emplace_back(as_text(datagram.data),
                             destination != nullptr ? destination->to_string() : "peer");
    }
    return datagrams;
  }

  ChunkPool pool;
  DatagramQueue queue{pool};
};

TEST_F(DatagramQueueTest, IsEmptyAtFirst) {
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(peek(), Datagrams());
}

// D5, D6: boundaries, empty datagrams and destinations are kept.
TEST_F(DatagramQueueTest, KeepsDatagramsInOrder) {
  append("one", &there);
  append("");
  append("three", &elsewhere);
  append("", &there);
  EXPECT_EQ(
      peek(),
      (Datagrams{
          {"one", "127.0.0.1:9"}, {"", "peer"}, {"three", elsewhere.path()}, {"", "127.0.0.1:9"}}));
  EXPECT_EQ(peek(1), (Datagrams{{"one", "127.0.0.1:9"}}));
}

// D8: each counts eight bytes more than it has, and takes all of that along.
TEST_F(DatagramQueueTest, CountsEightBytesMoreForEach) {
  append("abc");
  append("");
  EXPECT_EQ(queue.count(), 2U);
  EXPECT_EQ(queue.size(), (3U + 8) + 8);
  queue.consume(1);
  EXPECT_EQ(queue.size(), 8U);
  queue.consume(1);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_TRUE(queue.empty());
}

TEST_F(DatagramQueueTest, KeepsLargeDatagramsInOnePiece) {
  const std::string small(3000, 's');
  const std::string largest_udp(65507, 'l');
  const std::string huge(200'000, 'h');
  Datagrams expected;
  for (const std::string* text : {&small, &small, &largest_udp, &huge, &small, &huge}) {
    append(*text);
    expected.emplace_back(*text, "peer");
  }
  EXPECT_EQ(peek(), expected);
  while (!queue.empty()) {
    queue.consume(1);
    expected.erase(expected.begin());
    EXPECT_EQ(peek(), expected);
  }
}

// A kernel may be reading what was given to it.
TEST_F(DatagramQueueTest, NeverMovesWhatIsInIt) {
  append("first", &there);
  std::array<OutgoingDatagram, 1> first;
  ASSERT_EQ(queue.peek(first), 1U);
  const OutgoingDatagram before = first[0];
  for (int i = 0; i < 500; ++i) append(std::string(500, 'x'), &elsewhere);
  ASSERT_EQ(queue.peek(first), 1U);
  EXPECT_EQ(first[0].data.data(), before.data.data());
  EXPECT_EQ(first[0].destination, before.destination);
  queue.retire();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(peek(), Datagrams());
  EXPECT_EQ(as_text(before.data), "first");
  EXPECT_EQ(*before.destination, there);
}

// What it held is what it gives, however filling and emptying alternate.
TEST_F(DatagramQueueTest, IsAQueue) {
  std::deque<std::pair<std::string, std::string>> model;
  std::size_t serial = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < round % 90; ++i) {
      const std::string text(serial * 37 % 700, static_cast<char>('a' + serial % 26));
      const Address* destination = serial % 3 == 0   ? nullptr
                                   : serial % 3 == 1 ? &there
                                                     : &elsewhere;
      append(text, destination);
      model.emplace_back(text, destination != nullptr ? destination->to_string() : "peer");
      ++serial;
    }
    const std::size_t count = std::min(model.size(), serial * 31 % 97);
    EXPECT_EQ(peek(count), Datagrams(model.begin(), model.begin() + static_cast<int>(count)));
    queue.consume(count);
    model.erase(model.begin(), model.begin() + static_cast<int>(count));
    EXPECT_EQ(queue.count(), model.size());
  }
}

// The memory of the destinations is used again, and so is everything else: see bench/memory.
TEST_F(DatagramQueueTest, UsesTheSameMemoryAgain) {
  const auto places = [&] {
    std::set<const Address*> found;
    for (std::size_t i = 0; i < max_datagrams; ++i) append("x", &elsewhere);
    std::array<OutgoingDatagram, max_datagrams> datagrams;
    for (const OutgoingDatagram& datagram : std::span(datagrams).first(queue.peek(datagrams))) {
      found.insert(datagram.destination);
    }
    queue.consume(queue.count());
    return found;
  };
  const auto before = places();
  EXPECT_EQ(before.size(), max_datagrams);
  EXPECT_EQ(places(), before);
}

}  // namespace
}  // namespace weir::detail
