#include "sockaddr.h"

#include <gtest/gtest.h>
#include <weir/address.h>

#include <sys/un.h>

#include <cstddef>
#include <string>
#include <vector>

namespace weir {
namespace {

using detail::address_from;
using detail::sockaddr_from;

Address there_and_back(const Address& address) {
  sockaddr_storage storage;
  const socklen_t length = sockaddr_from(address, storage);
  EXPECT_GT(length, 0U);
  return address_from(reinterpret_cast<const sockaddr&>(storage), length);
}

TEST(SockaddrTest, KeepsWhatItConverts) {
  Address::Bytes link_local{0xfe, 0x80};
  link_local.back() = 7;
  std::vector<Address> addresses{Address::ipv4({10, 1, 2, 3}, 65535),
                                 Address::ipv6(link_local, 443, 3, 0x12345)};
  for (const char* path : {"/tmp/x.sock", ""}) addresses.push_back(Address::unix_socket(path));
  addresses.push_back(Address::unix_socket({'\0', 'a', '\0', 'b'}));
  for (const Address& address : addresses) {
    EXPECT_EQ(there_and_back(address), address) << address.to_string();
  }
}

TEST(SockaddrTest, LongestPathFitsAndLongerDoesNot) {
  const std::size_t room = sizeof(sockaddr_un::sun_path);
  const Address longest = Address::unix_socket(std::string(room - 1, 'x'));
  EXPECT_EQ(there_and_back(longest), longest);
  std::string name(room, 'x');
  name.front() = '\0';
  const Address longest_name = Address::unix_socket(name);
  EXPECT_EQ(there_and_back(longest_name), longest_name);

  sockaddr_storage storage;
  EXPECT_EQ(sockaddr_from(Address::unix_socket(std::string(room, 'x')), storage), 0U);
  EXPECT_EQ(sockaddr_from(Address(), storage), 0U);
}

TEST(SockaddrTest, UnknownFamiliesAreNoAddress) {
  sockaddr_storage storage{};
  storage.ss_family = AF_NETLINK;
  EXPECT_TRUE(address_from(reinterpret_cast<const sockaddr&>(storage), sizeof storage).empty());
  EXPECT_TRUE(address_from(reinterpret_cast<const sockaddr&>(storage), 0).empty());
}

// What accept() tells of a peer that never bound: two bytes, the family.
TEST(SockaddrTest, UnnamedUnixSocket) {
  sockaddr_storage storage{};
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(address_from(reinterpret_cast<const sockaddr&>(storage), sizeof(sa_family_t)),
            Address::unix_socket(""));
}

}  // namespace
}  // namespace weir
