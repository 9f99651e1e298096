#include "every_datagram.h"

#include <utility>

namespace weir::test {

void DatagramTest::open_datagrams(const DatagramMaker& maker) {
  maker_ = maker;
  open_loop(maker.loop_options());
}

DatagramRecorder& DatagramTest::new_recorder(std::string name) {
  return recorders_.emplace_back(loop(), std::move(name));
}

DatagramRecorder& DatagramTest::open(DatagramRecorder& recorder, const DatagramOptions& options,
                                     std::source_location where) {
  run_until_done(create_datagram_endpoint(loop(), recorder.factory(), options), where);
  return recorder;
}

DatagramPair DatagramTest::pair(DatagramRecorder& left, DatagramRecorder& right) {
  open(right, maker().bound());
  open(left, maker().bound(maker().connected ? right.address() : Address()));
  return {left, right};
}

void DatagramTest::wait_for(const DatagramRecorder& recorder, std::size_t count,
                            std::source_location where) {
  run_until([&] { return recorder.received.size() >= count; }, where);
}

std::size_t DatagramTest::clog(const DatagramPair& pair) {
  const DatagramTransport from = pair.left.transport;
  pair.right.transport.pause_reading();
  from.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  const std::string filler(KiB, '.');
  // So that what the kernel may still take in the background leaves most of it.
  for (std::size_t queued = 0; queued == 0 || queued != from.get_write_buffer_size();) {
    while (from.get_write_buffer_size() < 16 * KiB) send(pair, filler);
    queued = from.get_write_buffer_size();
    settle();
  }
  return from.get_write_buffer_size();
}

void DatagramTest::settle() {
  if (witness_left_ == nullptr) {
    witness_left_ = &open(new_recorder("left witness"), maker().bound());
    witness_right_ = &open(new_recorder("right witness"), maker().bound());
  }
  for (int round = 0; round < 12; ++round) {
    for (const auto& [from, to] :
         {std::pair(witness_left_, witness_right_), std::pair(witness_right_, witness_left_)}) {
      const std::size_t before = to->received.size();
      from->transport.sendto(".", to->address());
      wait_for(*to, before + 1);
    }
  }
}

void DatagramTest::hand_over(DatagramRecorder& from, DatagramRecorder& to) {
  to.adopted = true;
  to.transport = from.transport;
  from.handed_over = true;
  from.transport.set_protocol(to.protocol());
}

void DatagramTest::end_all() {
  for (DatagramRecorder& recorder : recorders_) {
    recorder.forget_actions();
    recorder.transport.abort();
  }
  run_until([&] { return RecordingProtocol::alive == 0; });
  for (const DatagramRecorder& recorder : recorders_) {
    EXPECT_TRUE(recorder.lost() || recorder.handed_over || !recorder.made()) << "never lost [B2]";
  }
}

void DatagramTest::TearDown() {
  // A test that failed half way has left callbacks that look at variables of its own: not run again.
  if (!HasFailure() && has_loop() && !loop().is_closed()) end_all();
  for (const DatagramRecorder& recorder : recorders_) EXPECT_EQ(recorder.violations, Calls());
  LoopTest::TearDown();
}

}  // namespace weir::test
