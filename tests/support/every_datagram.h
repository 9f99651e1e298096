#pragma once

#include <cstddef>
#include <deque>
#include <source_location>
#include <string>
#include <string_view>

#include "datagram_maker.h"
#include "datagram_recorder.h"
#include "loop_test.h"

namespace weir::test {

/// Two sockets, each with an address. The left one is connected to the right one, or is not, as the
/// maker says; the right one is not connected.
struct DatagramPair {
  DatagramRecorder& left;
  DatagramRecorder& right;
};

/// A test with datagram sockets. At its end each still open is aborted, and each protocol must have seen
/// a legal order of callbacks.
class DatagramTest : public LoopTest {
 protected:
  /// Makes the loop; a subclass calls it from its SetUp().
  void open_datagrams(const DatagramMaker& maker);
  void TearDown() override;

  const DatagramMaker& maker() const { return maker_; }

  /// A diary, to prepare before opening.
  DatagramRecorder& new_recorder(std::string name = "recorder");

  /// Opens a socket for it; waits until the future is done.
  DatagramRecorder& open(DatagramRecorder& recorder, const DatagramOptions& options,
                         std::source_location where = std::source_location::current());
  DatagramRecorder& open(const DatagramOptions& options,
                         std::source_location where = std::source_location::current()) {
    return open(new_recorder(), options, where);
  }
  /// A pair; prepared recorders may be given.
  DatagramPair pair() { return pair(new_recorder("left"), new_recorder("right")); }
  DatagramPair pair(DatagramRecorder& left, DatagramRecorder& right);

  /// Sends from left to right: to no destination if it is connected.
  void send(const DatagramPair& pair, std::string_view text) const {
    pair.left.transport.sendto(text, maker().connected ? Address() : pair.right.address());
  }
  /// Waits until `recorder` has received `count` datagrams.
  void wait_for(const DatagramRecorder& recorder, std::size_t count,
                std::source_location where = std::source_location::current());

  /// Makes right stop reading, and fills what is between: what left sends is queued. Left's limits are
  /// so high that it is not paused. Returns how many bytes wait. Only with a kind that can be full.
  std::size_t clog(const DatagramPair& pair);

  /// Drives the loop until whatever was under way has arrived: datagrams that set out later, between
  /// sockets of their own, have gone there and back several times.
  void settle();

  /// Hands the transport of `from` over to `to`, with set_protocol().
  void hand_over(DatagramRecorder& from, DatagramRecorder& to);

 private:
  void end_all();

  DatagramMaker maker_;
  std::deque<DatagramRecorder> recorders_;
  DatagramRecorder* witness_left_ = nullptr;
  DatagramRecorder* witness_right_ = nullptr;
};

/// A test of one rule that runs over every maker: TEST_P(EveryDatagram, …).
class EveryDatagram : public DatagramTest, public ::testing::WithParamInterface<DatagramMaker> {
 protected:
  void SetUp() override { open_datagrams(GetParam()); }
};

inline std::string datagram_maker_name(const ::testing::TestParamInfo<DatagramMaker>& test) {
  return test.param.name();
}

}  // namespace weir::test
