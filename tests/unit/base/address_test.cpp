#include <weir/address.h>

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace weir {
namespace {

TEST(AddressTest, DefaultIsNoAddress) {
  const Address address;
  EXPECT_TRUE(address.empty());
  EXPECT_EQ(address.to_string(), "");
  EXPECT_EQ(address.host(), "");
}

TEST(AddressTest, ParsesIpv4) {
  const std::optional<Address> address = Address::parse("127.0.0.1", 80);
  ASSERT_TRUE(address);
  EXPECT_EQ(*address, Address::ipv4({127, 0, 0, 1}, 80));
  EXPECT_EQ(address->host(), "127.0.0.1");
  EXPECT_EQ(address->to_string(), "127.0.0.1:80");
}

TEST(AddressTest, ParsesIpv6) {
  const std::optional<Address> address = Address::parse("2001:db8::1", 443);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), AddressFamily::ipv6);
  EXPECT_EQ(address->port(), 443);
  EXPECT_EQ(address->host(), "2001:db8::1");
  EXPECT_EQ(address->to_string(), "[2001:db8::1]:443");
}

TEST(AddressTest, ParsesNothingButLiterals) {
  for (const char* text : {"", "localhost", "[::1]", "fe80::1%lo", "127.1", "1.2.3.4.5", " ::1"}) {
    EXPECT_FALSE(Address::parse(text, 0)) << text;
  }
  EXPECT_FALSE(Address::parse(std::string("127.0.0.1\0x", 11), 0));
}

TEST(AddressTest, TextNamesTheScope) {
  Address::Bytes bytes{0xfe, 0x80};
  bytes.back() = 1;
  EXPECT_EQ(Address::ipv6(bytes, 9, 2).to_string(), "[fe80::1%2]:9");
  EXPECT_EQ(Address::ipv6(bytes, 9, 2).host(), "fe80::1");
}

TEST(AddressTest, TextOfUnixSockets) {
  EXPECT_EQ(Address::unix_socket("/run/x.sock").to_string(), "/run/x.sock");
  EXPECT_EQ(Address::unix_socket(std::string("\0name", 5)).to_string(), "@name");
  EXPECT_EQ(Address::unix_socket("").to_string(), "");
}

TEST(AddressTest, WithPortChangesThePortOnly) {
  const Address address = *Address::parse("::1", 1);
  EXPECT_EQ(address.with_port(2), *Address::parse("::1", 2));
  EXPECT_NE(address.with_port(2), address);
}

}  // namespace
}  // namespace weir
