#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "recorded_test.h"
#include "stream_maker.h"

namespace weir::test {

/// A connection and both its ends; `left` connected, `right` accepted.
struct Pair {
  Recorder& left;
  Recorder& right;
};

/// A connection whose right end has paused reading, with everything in between full: what left
/// writes is queued. Left's limits are so high that it is not paused.
struct CloggedPair {
  Recorder& left;
  Recorder& right;
  std::size_t base;  ///< how many bytes are queued; that they did not fit is what makes it clogged
  std::size_t written;  ///< how many bytes were written in all
};

/// A test with connected streams.
class StreamTest : public RecordedTest {
 protected:
  /// Makes the loop; a subclass calls it from its SetUp().
  void open_streams(const StreamMaker& maker);

  const StreamMaker& maker() const { return maker_; }
  bool buffered() const { return maker().protocol == ProtocolKind::buffered; }

  /// A diary for one end, to prepare before connecting.
  Recorder& new_recorder(std::string name = "recorder") {
    return RecordedTest::new_recorder(maker().protocol, std::move(name));
  }

  /// Connects the two and waits until both were told.
  Pair connect(Recorder& left, Recorder& right);
  /// A connection with fresh recorders.
  Pair connected_pair() { return connect(new_recorder("left"), new_recorder("right")); }

  /// As RecordedTest's, of the maker's kind.
  template <class Use>
  void with_protocols(Use use) {
    RecordedTest::with_protocols(maker().protocol, std::move(use));
  }

  /// As connect(), of protocols of any type: the factories are those of create_connection() and
  /// create_server(). Returns what create_connection() gives.
  template <class LeftFactory, class RightFactory>
  auto connect_with(LeftFactory left, RightFactory right) {
    std::size_t accepted = 0;
    Server server = run_until_done(maker().listen(
        loop(), [right = std::move(right), &accepted]() mutable { return ++accepted, right(); }));
    auto future = maker().connect(loop(), std::move(left), server.sockets().at(0).sockname);
    run_until([&] { return future.done() && accepted == 1; });
    server.close();
    iterate(2);  // connection_made() follows the factory
    return std::move(future.result());
  }

  /// See CloggedPair; prepared ends may be given.
  CloggedPair clogged_pair() { return clog(connected_pair()); }
  CloggedPair clog(Pair pair);
  /// Lets right read, and everything flow.
  void unclog(const CloggedPair& pair) { pair.right.transport.resume_reading(); }

  /// Ends the stream that `end` sends: over TLS there is no other way than to close. [T20]
  void end_stream(Recorder& end) {
    maker().is_tls() ? end.transport.close() : end.transport.write_eof();
  }
  /// The callbacks of an end that closed and was the first to: over TLS it hears of the other's answer,
  /// before connection_lost(). [T10]
  Calls closed(Calls calls) const {
    if (maker().is_tls()) calls.insert(calls.end() - 1, "eof_received");
    return calls;
  }
  /// How it is reported that `callback` threw `exception`. [S20, T29]
  std::string fatal_error(const std::string& callback, const std::string& exception) const;
  /// The callback that brings data.
  std::string data_callback() const { return buffered() ? "buffer_updated" : "data_received"; }

  /// Drives the loop until whatever was under way has arrived: messages that set out later, on a
  /// connection of their own, have gone there and back several times.
  void settle();

  /// Ends the connection of `end` so that the other end sees a reset. `end` pauses reading, and
  /// gets a byte from `other` that it never reads.
  void reset(Recorder& end, Recorder& other);

 private:
  StreamMaker maker_;
  Recorder* witness_left_ = nullptr;
  Recorder* witness_right_ = nullptr;
};

/// A test of one rule that runs over every maker: TEST_P(EveryStream, …).
class EveryStream : public StreamTest, public ::testing::WithParamInterface<StreamMaker> {
 protected:
  void SetUp() override { open_streams(GetParam()); }
};

/// The same over those where one direction can end alone: all but TLS.
class EverySocket : public EveryStream {};

}  // namespace weir::test
