// B15, U9: protocols need not derive from anything, and take the defaults for what they leave out.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "every_stream.h"

namespace weir::test {
namespace {

/// Everything a streaming protocol may have.
struct WholeDuck {
  explicit WholeDuck(Recorder& recorder) : to(&recorder) {}
  void connection_made(Transport transport) { to->connection_made(transport); }
  void data_received(std::span<const std::byte> data) { to->data_received(data); }
  bool eof_received() { return to->eof_received(); }
  void pause_writing() { to->pause_writing(); }
  void resume_writing() { to->resume_writing(); }
  void connection_lost(const CloseReason& reason) { to->connection_lost(reason); }
  Recorder* to;
};

/// Everything a buffered protocol may have.
struct WholeBufferedDuck {
  explicit WholeBufferedDuck(Recorder& recorder) : to(&recorder) {}
  void connection_made(Transport transport) { to->connection_made(transport); }
  std::span<std::byte> get_buffer(std::ptrdiff_t hint) { return to->get_buffer(hint); }
  void buffer_updated(std::size_t count) { to->buffer_updated(count); }
  bool eof_received() { return to->eof_received(); }
  void pause_writing() { to->pause_writing(); }
  void resume_writing() { to->resume_writing(); }
  void connection_lost(const CloseReason& reason) { to->connection_lost(reason); }
  Recorder* to;
};

struct OnlyData {
  void data_received(std::span<const std::byte> data) { received += as_text(data); }
  std::string received;
};

struct OnlyBuffer {
  std::array<std::byte, 8>& get_buffer(std::ptrdiff_t) { return bytes; }
  void buffer_updated(std::size_t count) { received += as_text(std::span(bytes).first(count)); }
  std::array<std::byte, 8> bytes{};
  std::string received;
};

/// Its eof_received() returns nothing, which counts as false.
struct QuietEnd {
  void data_received(std::span<const std::byte>) {}
  void eof_received() { ended = true; }
  bool ended = false;
};

class Adapted : public EveryStream {
 protected:
  /// Goes through all callbacks of `left`, which are its recorder's.
  template <class LeftFactory>
  void run_all_callbacks(Recorder& left, LeftFactory factory) {
    Recorder& right = new_recorder("right");
    connect_with(std::move(factory), [&] { return std::make_shared<RecordingProtocol>(right); });
    run_until([&] { return left.made() && right.made(); });
    const CloggedPair pair = clog({left, right});
    left.transport.set_write_buffer_limits({.high = 0});
    unclog(pair);
    run_until([&] { return left.count("resume_writing") == 1; });
    right.transport.write("x");
    end_stream(right);
    run_until([&] { return left.lost() && right.lost(); });
    EXPECT_EQ(left.calls, calls("connection_made", "pause_writing", "resume_writing",
                                "data_received:x", "eof_received", "connection_lost"));
  }

  /// Sends "hello" and the end to a protocol of `factory`, and waits until it has closed.
  template <class Factory>
  auto greet(Factory factory) {
    Recorder& right = new_recorder("right");
    auto connection = connect_with(std::move(factory),
                                   [&] { return std::make_shared<RecordingProtocol>(right); });
    run_until([&] { return right.made(); });
    right.transport.write("hello");
    end_stream(right);
    run_until([&] { return right.lost(); });
    EXPECT_EQ(right.calls, calls("connection_made", "eof_received", "connection_lost"));
    return connection.protocol;
  }
};

// U9: a factory may choose the kind of its protocol at run time.
TEST_P(Adapted, AFactoryMayChooseTheKind) {
  for (const bool buffered : {false, true}) {
    auto stream = std::make_shared<OnlyData>();
    auto buffer = std::make_shared<OnlyBuffer>();
    const auto factory = [&]() -> AnyProtocol {
      if (buffered) return adapt(buffer);
      return adapt(stream);
    };
    const Server server = run_until_done(maker().listen(loop(), factory));
    const auto client = run_until_done(maker().connect(
        loop(), [] { return OnlyData(); }, server.sockets().front().sockname));
    client.transport.write("hello");
    run_until([&] { return (buffered ? buffer->received : stream->received) == "hello"; });
    client.transport.abort();
    server.close();
    run_until_done(server.wait_closed());
  }
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, Adapted,
                         ::testing::ValuesIn(stream_makers(ProtocolKind::stream)), maker_name);

// U9: an object with data_received() is a streaming protocol; it gets every callback it has.
TEST_P(Adapted, CallsEveryCallbackOfAnObject) {
  Recorder& left = new_recorder("left");
  run_all_callbacks(left, [&] { return WholeDuck(left); });
}

// U9: an object with get_buffer() and buffer_updated() is a buffered one.
TEST_P(Adapted, CallsEveryCallbackOfABufferedObject) {
  Recorder& left = new_recorder("left");
  run_all_callbacks(left, [&] { return WholeBufferedDuck(left); });
}

// U9: the object may be moved in, or be a shared or a unique pointer; or be adapted by hand.
TEST_P(Adapted, TakesObjectsByValueAndByPointer) {
  EXPECT_EQ(greet([] { return OnlyData(); })->received, "hello");
  EXPECT_EQ(greet([] { return std::make_unique<OnlyData>(); })->received, "hello");
  const auto shared = std::make_shared<OnlyData>();
  EXPECT_EQ(greet([&] { return shared; }), shared);
  EXPECT_EQ(shared->received, "hello");
  EXPECT_EQ(greet([] { return adapt(OnlyData()); })->object()->received, "hello");
}

// B15: what an object leaves out takes the defaults: it closes at the end of the stream.
TEST_P(Adapted, TakesDefaultsForWhatIsMissing) {
  EXPECT_EQ(greet([] { return OnlyData(); })->received, "hello");
  EXPECT_EQ(greet([] { return OnlyBuffer(); })->received, "hello");
}

// B15: an eof_received() that returns nothing closes the transport.
TEST_P(Adapted, ClosesWhenTheEndReturnsNothing) {
  EXPECT_TRUE(greet([] { return QuietEnd(); })->ended);
}

// U9: set_protocol() takes adapted objects of both kinds.
TEST_P(Adapted, SwitchesToObjects) {
  auto [left, right] = connected_pair();
  const auto first = std::make_shared<OnlyData>();
  const auto second = std::make_shared<OnlyBuffer>();
  left.handed_over = true;
  left.transport.set_protocol(adapt(first));
  right.transport.write("hello");
  run_until([&] { return first->received == "hello"; });
  left.transport.set_protocol(adapt(second));
  right.transport.write("hello again");
  run_until([&] { return second->received == "hello again"; });
}

}  // namespace weir::test
