// What all behaviour tests stand on: the makers, run here over every stream.

#include "every_stream.h"

#include <gtest/gtest.h>

namespace weir::test {

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryStream, ::testing::ValuesIn(stream_makers()), maker_name);
INSTANTIATE_TEST_SUITE_P(Behaviour, EverySocket, ::testing::ValuesIn(socket_makers()), maker_name);

// S1: what one end writes, the other receives.
TEST_P(EveryStream, MakesConnectedPairs) {
  Pair pair = connected_pair();
  pair.left.transport.write("to the right");
  pair.right.transport.write("to the left");
  run_until([&] { return pair.left.received.size() == 11 && pair.right.received.size() == 12; });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "data_received:to the left"));
  EXPECT_EQ(pair.right.calls, calls("connection_made", "data_received:to the right"));
}

// F18: a clogged pair queues what is written, and passes everything on once it is unclogged.
TEST_P(EveryStream, MakesCloggedPairs) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.write("more");
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), pair.base + 4);
  unclog(pair);
  run_until([&] { return pair.right.received.size() == pair.written + 4; });
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
}

}  // namespace weir::test
