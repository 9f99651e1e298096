// Chapter X: what a transport knows of its connection.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <weir/weir.h>

#include <cstdint>
#include <optional>
#include <string>

#include "every_stream.h"

namespace weir::test {

// X1: the names of both ends fit together.
TEST_P(EveryStream, KnowsTheNamesOfBothEnds) {
  auto [left, right] = connected_pair();
  const auto left_name = left.transport.get_extra_info<Address>("sockname");
  const auto right_name = right.transport.get_extra_info<Address>("sockname");
  ASSERT_TRUE(left_name && right_name);
  EXPECT_EQ(left.transport.get_extra_info<Address>("peername"), right_name);
  EXPECT_EQ(right.transport.get_extra_info<Address>("peername").value_or(*left_name), *left_name);
}

// X1: the socket, where there is one, is to look at.
TEST_P(EveryStream, ShowsItsSocket) {
  auto [left, right] = connected_pair();
  const auto view = left.transport.get_extra_info<SocketView>("socket");
  if (!view || view->descriptor < 0) return;
  EXPECT_EQ(view->sockname, left.transport.get_extra_info<Address>("sockname"));
  int type = 0;
  socklen_t size = sizeof type;
  ASSERT_EQ(getsockopt(view->descriptor, SOL_SOCKET, SO_TYPE, &type, &size), 0);
  EXPECT_EQ(type, SOCK_STREAM);
  EXPECT_NE(fcntl(view->descriptor, F_GETFD) & FD_CLOEXEC, 0);  // O5
  EXPECT_NE(fcntl(view->descriptor, F_GETFL) & O_NONBLOCK, 0);
}

// X1, B7: everything is known until connection_lost() has returned, in every state on the way.
TEST_P(EveryStream, KnowsTheNamesUntilItIsLost) {
  auto [left, right] = connected_pair();
  const auto name = left.transport.get_extra_info<Address>("sockname");
  std::optional<Address> name_at_the_end;
  left.on("connection_lost", [&, &left = left] {
    name_at_the_end = left.transport.get_extra_info<Address>("sockname");
  });
  left.transport.close();
  EXPECT_EQ(left.transport.get_extra_info<Address>("sockname"), name);
  run_until([&left = left] { return left.lost(); });
  EXPECT_EQ(name_at_the_end, name);
  EXPECT_EQ(left.transport.get_extra_info<Address>("sockname"), std::nullopt);
}

// X1: a peer that has gone already does not change what was saved.
TEST_P(EverySocket, KnowsThePeerThatHasGone) {
  auto [left, right] = connected_pair();
  const auto name = left.transport.get_extra_info<Address>("peername");
  left.keep_open = true;
  right.transport.close();
  run_until([&] { return right.lost() && left.count("eof_received") == 1; });
  EXPECT_EQ(left.transport.get_extra_info<Address>("peername"), name);
}

// C13: an unknown name gives the fallback, in every state.
TEST_P(EveryStream, GivesTheFallbackForUnknownNames) {
  auto [left, right] = connected_pair();
  const auto fallback = [&left = left] {
    return left.transport.get_extra_info("no such thing", std::int64_t{42}) ==
           ExtraInfo(std::int64_t{42});
  };
  EXPECT_TRUE(fallback());
  EXPECT_EQ(left.transport.get_extra_info("no such thing"), ExtraInfo());
  bool at_the_end = false;
  left.on("connection_lost", [&] { at_the_end = fallback(); });
  left.transport.close();
  EXPECT_TRUE(fallback());
  run_until([&left = left] { return left.lost(); });
  EXPECT_TRUE(at_the_end);
  EXPECT_TRUE(fallback());
  EXPECT_EQ(left.transport.get_extra_info("peername", std::string("gone")),
            ExtraInfo(std::string("gone")));
}

// C13: asking for another type than the information has gives nothing.
TEST_P(EveryStream, GivesNothingOfAnotherType) {
  auto [left, right] = connected_pair();
  EXPECT_EQ(left.transport.get_extra_info<std::string>("sockname"), std::nullopt);
}

}  // namespace weir::test
