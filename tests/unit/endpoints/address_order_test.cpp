#include "address_order.h"

#include <gtest/gtest.h>
#include <weir/address.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {
namespace {

using detail::interleaved;
using detail::without_duplicates;

/// "4a 6b": addresses of IPv4 and IPv6 that differ in a letter.
std::vector<Address> addresses(std::string_view names) {
  std::vector<Address> result;
  for (std::size_t at = 0; at < names.size(); at += 3) {
    const auto letter = static_cast<std::uint8_t>(names[at + 1]);
    result.push_back(names[at] == '4' ? Address::ipv4({10, 0, 0, letter}, 1)
                                      : Address::ipv6({letter}, 1));
  }
  return result;
}

std::string names(const std::vector<Address>& addresses) {
  std::string result;
  for (const Address& address : addresses) {
    const bool four = address.family() == AddressFamily::ipv4;
    if (!result.empty()) result += ' ';
    result += four ? '4' : '6';
    result += static_cast<char>(address.bytes()[four ? 3 : 0]);
  }
  return result;
}

std::string interleaved_names(std::string_view from, std::size_t first_family_count) {
  return names(interleaved(addresses(from), first_family_count));
}

// N7: 0 leaves the resolver's order.
TEST(InterleavedTest, ZeroChangesNothing) {
  EXPECT_EQ(interleaved_names("6a 6b 4c 6d", 0), "6a 6b 4c 6d");
}

// N7: families take turns, in first-seen order, each in its own order.
TEST(InterleavedTest, FamiliesTakeTurns) {
  EXPECT_EQ(interleaved_names("6a 6b 6c 4d 4e", 1), "6a 4d 6b 4e 6c");
  EXPECT_EQ(interleaved_names("4a 6b 6c 6d", 1), "4a 6b 6c 6d");
}

// N7: n - 1 from the first family, then the turns begin with it again.
TEST(InterleavedTest, FirstFamilyGetsMoreAtFirst) {
  EXPECT_EQ(interleaved_names("6a 6b 6c 6d 4e 4f", 2), "6a 6b 4e 6c 4f 6d");
  EXPECT_EQ(interleaved_names("6a 6b 6c 6d 4e 4f", 3), "6a 6b 6c 4e 6d 4f");
}

TEST(InterleavedTest, MoreThanThereAre) {
  EXPECT_EQ(interleaved_names("6a 4b 6c 4d", 3), "6a 6c 4b 4d");
  EXPECT_EQ(interleaved_names("6a 4b 6c 4d", 1000), "6a 6c 4b 4d");
  EXPECT_EQ(interleaved_names("6a", static_cast<std::size_t>(-1)), "6a");
  EXPECT_EQ(interleaved_names("", 1), "");
}

// V3: duplicates are bound once.
TEST(WithoutDuplicatesTest, KeepsTheFirst) {
  EXPECT_EQ(names(without_duplicates(addresses("4a 6a 4a 4b 6a"))), "4a 6a 4b");
}

}  // namespace
}  // namespace weir
