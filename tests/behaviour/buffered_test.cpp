// Chapter U: protocols that provide the memory their bytes are received into.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "every_stream.h"

namespace weir::test {
namespace {

class EveryBufferedStream : public EveryStream {
 protected:
  /// A pair whose right end offers `buffer_size` bytes at a time, and notes each round.
  Pair pair_with_buffer(std::size_t buffer_size) {
    Recorder& left = new_recorder("left");
    Recorder& right = new_recorder("right");
    right.buffer_size = buffer_size;
    right.notes_buffers = true;
    return connect(left, right);
  }
};

/// `calls` without the rounds of get_buffer() that brought nothing, which are allowed. [U7]
Calls without_idle_rounds(const Calls& calls) {
  Calls kept;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const bool idle = calls[i].starts_with("get_buffer") &&
                      (i + 1 == calls.size() || !calls[i + 1].starts_with("buffer_updated"));
    if (!idle) kept.push_back(calls[i]);
  }
  return kept;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryBufferedStream,
                         ::testing::ValuesIn(stream_makers(ProtocolKind::buffered)), maker_name);

// U1: connection_made, rounds of get_buffer and buffer_updated, eof_received, connection_lost.
TEST_P(EveryBufferedStream, CallsInTheOrderOfABufferedStream) {
  auto [left, right] = pair_with_buffer(1);
  left.transport.write("abc");
  end_stream(left);
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(without_idle_rounds(right.calls),
            calls("connection_made", "get_buffer:-1", "buffer_updated:a", "get_buffer:-1",
                  "buffer_updated:b", "get_buffer:-1", "buffer_updated:c", "eof_received",
                  "connection_lost"));
}

// U2: the buffer may be smaller or larger than what arrives; its size is the protocol's choice.
TEST_P(EveryBufferedStream, TakesBuffersOfAnySize) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, 4 * KiB, 2 * MiB}) {
    auto [left, right] = pair_with_buffer(size);
    const std::string sent = pattern(size < KiB ? 300 : 3 * MiB);
    left.transport.write(sent);
    run_until([&, &right = right] { return right.received.size() == sent.size(); });
    EXPECT_TRUE(right.received == sent);
  }
}

// U3: an empty buffer is fatal.
TEST_P(EveryBufferedStream, EndsWhenTheBufferIsEmpty) {
  auto [left, right] = pair_with_buffer(0);
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "get_buffer:-1",
                               "connection_lost:get_buffer() returned an empty buffer"));
  EXPECT_THROW(std::rethrow_exception(right.reason.exception()), WrongStateError);
  EXPECT_EQ(take_reports(),
            calls(fatal_error("get_buffer", "get_buffer() returned an empty buffer")));
}

// U4: an exception of get_buffer() is fatal, and is the reason.
TEST_P(EveryBufferedStream, EndsWhenGetBufferThrows) {
  auto [left, right] = pair_with_buffer(10);
  right.on("get_buffer", [] { throw std::runtime_error("boom"); });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "get_buffer:-1", "connection_lost:boom"));
  EXPECT_EQ(take_reports(), calls(fatal_error("get_buffer", "boom")));
}

// U5: buffer_updated() tells how many bytes are at the start of the buffer just returned.
TEST_P(EveryBufferedStream, FillsTheStartOfTheBuffer) {
  struct Careful : BufferedProtocol {
    std::span<std::byte> get_buffer(std::ptrdiff_t) override {
      bytes.fill(std::byte{'-'});
      return bytes;
    }
    void buffer_updated(std::size_t count) override {
      within_bounds = within_bounds && count > 0 && count <= bytes.size();
      received += as_text(std::span(bytes).first(count));
    }
    std::array<std::byte, 10> bytes{};
    std::string received;
    bool within_bounds = true;
  };
  Recorder& right = new_recorder("right");
  auto connection = connect_with([] { return std::make_shared<Careful>(); },
                                 [&] { return std::make_shared<RecordingProtocol>(right); });
  run_until([&] { return right.made(); });
  const std::string sent = pattern(1000);
  right.transport.write(sent);
  run_until([&] { return connection.protocol->received.size() == sent.size(); });
  EXPECT_TRUE(connection.protocol->received == sent);
  EXPECT_TRUE(connection.protocol->within_bounds);
}

// U6: an exception of buffer_updated() is fatal, and is the reason.
TEST_P(EveryBufferedStream, EndsWhenBufferUpdatedThrows) {
  auto [left, right] = pair_with_buffer(10);
  right.on("data_received", [] { throw std::runtime_error("boom"); });
  left.transport.write("x");
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.calls,
            calls("connection_made", "get_buffer:-1", "buffer_updated:x", "connection_lost:boom"));
  EXPECT_EQ(take_reports(), calls(fatal_error("buffer_updated", "boom")));
}

// U7: the memory is not used after connection_lost(): it may go with the protocol.
TEST_P(EveryBufferedStream, LeavesTheBufferAloneOnceLost) {
  const auto memory = std::make_unique<std::array<std::byte, 100>>();
  struct Borrower : BufferedProtocol {
    explicit Borrower(std::span<std::byte> lent) : bytes(lent) {}
    void connection_made(Transport made) override { transport = made; }
    std::span<std::byte> get_buffer(std::ptrdiff_t) override { return bytes; }
    void buffer_updated(std::size_t) override { transport.abort(); }
    void connection_lost(const CloseReason&) override {
      std::ranges::fill(bytes, std::byte{'-'});
      lost = true;
    }
    std::span<std::byte> bytes;
    Transport transport;
    bool lost = false;
  };
  Recorder& right = new_recorder("right");
  auto connection = connect_with([&] { return std::make_shared<Borrower>(*memory); },
                                 [&] { return std::make_shared<RecordingProtocol>(right); });
  run_until([&] { return right.made(); });
  right.transport.write("x");
  run_until([&] {
    right.transport.write("and more");
    return connection.protocol->lost;
  });
  settle();
  EXPECT_EQ(as_text(*memory), std::string(memory->size(), '-'));
  take_logs();  // of the writes that came too late
}

// U8: no get_buffer() comes after eof_received(), however often reading is resumed.
TEST_P(EveryBufferedStream, AsksForNoBufferAfterTheEnd) {
  auto [left, right] = pair_with_buffer(10);
  right.keep_open = !maker().is_tls();
  end_stream(left);
  run_until([&right = right] { return right.count("eof_received") == 1; });
  right.transport.pause_reading();
  right.transport.resume_reading();
  settle();
  const Calls all = calls("connection_made", "eof_received", "connection_lost");
  EXPECT_EQ(without_idle_rounds(right.calls),
            Calls(all.begin(), right.keep_open ? all.end() - 1 : all.end()));
}

// U9: the kind of a protocol is decided by the type of the pointer; both kinds serve one connection.
TEST_P(EveryBufferedStream, ServesBothKindsOneAfterTheOther) {
  auto [left, right] = connected_pair();
  Recorder& second = new_recorder("second");
  Recorder& third = new_recorder("third");
  const auto arrives = [&, &left = left](Recorder& to) {
    left.transport.write("x");
    run_until([&] { return to.received == "x"; });
  };
  arrives(right);
  hand_over(right, second, ProtocolKind::stream);
  arrives(second);
  hand_over(second, third, ProtocolKind::buffered);
  arrives(third);
  EXPECT_EQ(right.received + second.received + third.received, "xxx");
}

// U10: a switch inside get_buffer(): the buffer of the old protocol is not filled, nothing is lost.
TEST_P(EveryBufferedStream, SwitchesInsideGetBuffer) {
  struct Leaver : BufferedProtocol {
    void connection_made(Transport made) override { transport = made; }
    std::span<std::byte> get_buffer(std::ptrdiff_t) override {
      transport.set_protocol(std::move(heir));
      return bytes;
    }
    void buffer_updated(std::size_t) override { updated = true; }
    Transport transport;
    AnyProtocol heir;
    std::array<std::byte, 10> bytes{};
    bool updated = false;
  };
  for (const ProtocolKind kind : {ProtocolKind::stream, ProtocolKind::buffered}) {
    Recorder& right = new_recorder("right");
    Recorder& heir = new_recorder("heir");
    heir.adopted = true;
    auto connection = connect_with([] { return std::make_shared<Leaver>(); },
                                   [&] { return std::make_shared<RecordingProtocol>(right); });
    connection.protocol->heir = heir.protocol(kind);
    run_until([&] { return right.made(); });
    right.transport.write("hello");
    run_until([&] { return heir.received == "hello"; });
    EXPECT_EQ(heir.calls, calls("data_received:hello"));
    EXPECT_FALSE(connection.protocol->updated);
    EXPECT_EQ(connection.protocol->bytes, (std::array<std::byte, 10>{}));
    connection.transport.abort();
  }
}

// U10: a switch inside buffer_updated() or data_received(): the new one gets what is left.
TEST_P(EveryBufferedStream, SwitchesInsideDataCallbacks) {
  for (const ProtocolKind from : {ProtocolKind::stream, ProtocolKind::buffered}) {
    for (const ProtocolKind to : {ProtocolKind::stream, ProtocolKind::buffered}) {
      auto [left, right] = connected_pair();
      Recorder& first = new_recorder("first");
      Recorder& second = new_recorder("second");
      first.buffer_size = 2;
      hand_over(right, first, from);
      first.once("data_received", [&] { hand_over(first, second, to); });
      const std::string sent = pattern(1 * MiB);
      left.transport.write(sent);
      run_until([&] { return first.received.size() + second.received.size() == sent.size(); });
      EXPECT_TRUE(first.received + second.received == sent);
    }
  }
}

// U13: close() or abort() inside get_buffer(): nothing is read, no buffer_updated() follows.
TEST_P(EveryBufferedStream, ReadsNothingAfterCloseInGetBuffer) {
  for (const bool aborts : {false, true}) {
    auto [left, right] = pair_with_buffer(10);
    right.on("get_buffer",
             [&, &right = right] { aborts ? right.transport.abort() : right.transport.close(); });
    left.transport.write("x");
    run_until([&right = right] { return right.lost(); });
    const Calls all = calls("connection_made", "get_buffer:-1", "connection_lost");
    EXPECT_EQ(right.calls, aborts ? all : closed(all));
  }
}

// U12, S8: pause_reading() inside get_buffer(): nothing is delivered until reading is resumed.
TEST_P(EveryBufferedStream, ReadsNothingAfterAPauseInGetBuffer) {
  auto [left, right] = pair_with_buffer(10);
  right.once("get_buffer", [&right = right] { right.transport.pause_reading(); });
  left.transport.write("x");
  run_until([&right = right] { return !right.transport.is_reading(); });
  settle();
  EXPECT_EQ(right.calls, calls("connection_made", "get_buffer:-1"));
  right.transport.resume_reading();
  run_until([&right = right] { return right.received == "x"; });
  EXPECT_EQ(right.calls,
            calls("connection_made", "get_buffer:-1", "get_buffer:-1", "buffer_updated:x"));
}

// U1, U5: an echo of everything, with a buffer of an odd size, gives back what was sent.
TEST_P(EveryBufferedStream, EchoesThroughItsBuffer) {
  auto [left, right] = pair_with_buffer(1777);
  right.notes_buffers = false;
  std::size_t echoed = 0;
  right.on("data_received", [&, &right = right] {
    right.transport.write(std::string_view(right.received).substr(echoed));
    echoed = right.received.size();
  });
  const std::string sent = pattern(1 * MiB);
  left.transport.write(sent);
  run_until([&, &left = left] { return left.received.size() == sent.size(); });
  EXPECT_TRUE(left.received == sent);
}

}  // namespace weir::test
