#include <weir/sendfile.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "descriptor_support.h"
#include "every_stream.h"
#include "loop_support.h"
#include "off_thread.h"
#include "sent_file.h"

// sendfile() on transports: K1-K4.
namespace weir::test {
namespace {

/// The kind of `future`'s error, as kind_of(), with sendfile()'s own.
template <class T>
std::string outcome_with_unavailable(const Future<T>& future) {
  if (future.done() && !future.cancelled() && future.exception() != nullptr) {
    try {
      future.result();
    } catch (const SendfileNotAvailableError&) {
      return "SendfileNotAvailableError";
    } catch (...) {
    }
  }
  return outcome(future);
}

class SendingFiles : public EveryStream {
 protected:
  void TearDown() override {
    // A thread that still reads for a cancelled call has a descriptor of the file.
    if (has_loop() && !loop().is_closed() && !HasFailure()) {
      result_off_thread(loop(), loop().shutdown_default_executor());
    }
    EveryStream::TearDown();
  }

  std::uint64_t wait_for(const Future<std::uint64_t>& future,
                         std::source_location where = std::source_location::current()) {
    return result_off_thread(loop(), future, where);
  }
  std::string outcome_of(const Future<std::uint64_t>& future,
                         std::source_location where = std::source_location::current()) {
    run_until_off_thread(
        loop(), [&] { return future.done(); }, where);
    return outcome_with_unavailable(future);
  }
  void wait_until_received(const Recorder& recorder, std::size_t size,
                           std::source_location where = std::source_location::current()) {
    run_until_off_thread(
        loop(), [&] { return recorder.received.size() >= size; }, where);
  }

  static constexpr FileKind kinds[] = {FileKind::sendable, FileKind::unsendable};
};

/// Where one direction can end alone.
class SendingFilesOverSockets : public SendingFiles {};

// K1: sendfile() sends a whole file and gives its size.
TEST_P(SendingFiles, SendsAWholeFile) {
  const Pair pair = connected_pair();
  const SentFile file(pattern(1 * MiB));
  EXPECT_EQ(wait_for(sendfile(loop(), pair.left.transport, file.descriptor())), 1 * MiB);
  wait_until_received(pair.right, 1 * MiB);
  EXPECT_TRUE(pair.right.received == file.content());
  EXPECT_EQ(file.position(), 1 * MiB);
}

// K1, K3: the same for a file that the system cannot send.
TEST_P(SendingFiles, SendsAFileThatMustBeRead) {
  const Pair pair = connected_pair();
  const SentFile file(pattern(300 * KiB + 1), FileKind::unsendable);
  EXPECT_EQ(wait_for(sendfile(loop(), pair.left.transport, file.descriptor(), file.whole())),
            300 * KiB + 1);
  wait_until_received(pair.right, 300 * KiB + 1);
  EXPECT_TRUE(pair.right.received == file.content());
  EXPECT_EQ(file.position(), 300 * KiB + 1);
}

// K1, K3: the same for a pipe, of which the end is found by reading.
TEST_P(SendingFiles, SendsFromAPipe) {
  const Pair pair = connected_pair();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  const std::string content = pattern(20 * KiB);
  ASSERT_EQ(write(write_end.get(), content.data(), content.size()), 20 * KiB);
  write_end.reset();
  EXPECT_EQ(outcome_of(sendfile(loop(), pair.left.transport, read_end.get(), {.offset = 1})),
            "invalid_argument");
  EXPECT_EQ(wait_for(sendfile(loop(), pair.left.transport, read_end.get())), 20 * KiB);
  wait_until_received(pair.right, 20 * KiB);
  EXPECT_TRUE(pair.right.received == content);
}

// K2: what was written before comes before, what is written after comes after.
TEST_P(SendingFiles, KeepsTheOrder) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(100 * KiB, 2), kind);
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    iterate(3);
    EXPECT_FALSE(future.done());
    unclog(pair);
    wait_for(future);
    pair.left.transport.write("after");
    wait_until_received(pair.right, pair.written + 100 * KiB + 5);
    EXPECT_TRUE(pair.right.received.substr(pair.written) == file.content() + "after");
  }
}

// K2: offset and count choose a part; the position ends behind it.
TEST_P(SendingFiles, SendsAPart) {
  for (const FileKind kind : kinds) {
    const Pair pair = connected_pair();
    const SentFile file(pattern(100 * KiB), kind);
    EXPECT_EQ(wait_for(sendfile(loop(), pair.left.transport, file.descriptor(),
                                file.part(10 * KiB, 50 * KiB))),
              50 * KiB);
    wait_until_received(pair.right, 50 * KiB);
    EXPECT_TRUE(pair.right.received == file.content().substr(10 * KiB, 50 * KiB));
    EXPECT_EQ(file.position(), 60 * KiB);
  }
}

// K2: at the end of the file there is no more; an empty one sends 0.
TEST_P(SendingFiles, StopsAtTheEndOfTheFile) {
  const Pair pair = connected_pair();
  const SentFile file("hello");
  const int descriptor = file.descriptor();
  const auto send = [&](int which, SendfileOptions options) {
    return wait_for(sendfile(loop(), pair.left.transport, which, options));
  };
  EXPECT_EQ(send(descriptor, {.offset = 3, .count = 100}), 2U);
  EXPECT_EQ(send(descriptor, {.offset = 5}), 0U);
  EXPECT_EQ(send(descriptor, {.offset = 50}), 0U);
  EXPECT_EQ(file.position(), 50U);
  EXPECT_EQ(send(SentFile("").descriptor(), {}), 0U);
  wait_until_received(pair.right, 2);
  EXPECT_EQ(pair.right.received, "lo");
}

// K2: a count of 0, an offset that cannot be, and what cannot be read are argument errors.
TEST_P(SendingFiles, RefusesBadArguments) {
  const Pair pair = connected_pair();
  const SentFile file("hello");
  const auto outcome_for = [&](int descriptor, SendfileOptions options) {
    return outcome_of(sendfile(loop(), pair.left.transport, descriptor, options));
  };
  EXPECT_EQ(outcome_for(file.descriptor(), {.count = 0}), "invalid_argument");
  EXPECT_EQ(outcome_for(file.descriptor(), {.offset = std::numeric_limits<std::uint64_t>::max()}),
            "invalid_argument");
  EXPECT_EQ(outcome_for(-1, {}), "invalid_argument");
  const Descriptor unreadable(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(outcome_for(unreadable.get(), {}), "invalid_argument");
  const Descriptor directory(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(outcome_for(directory.get(), {}), "Is a directory");
  pair.left.transport.write("goes on");
  wait_until_received(pair.right, 7);
}

// C6: the file stays the caller's, who may close it while it is sent.
TEST_P(SendingFiles, LetsTheCallerCloseTheFile) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    SentFile file(pattern(100 * KiB), kind);
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    file.close();
    unclog(pair);
    EXPECT_EQ(wait_for(future), 100 * KiB);
    wait_until_received(pair.right, pair.written + 100 * KiB);
    EXPECT_TRUE(pair.right.received.substr(pair.written) == file.content());
  }
}

// K1: a closing transport, and one that is gone, are wrong-state errors.
TEST_P(SendingFiles, RefusesAClosingTransport) {
  const SentFile file("hello");
  const CloggedPair pair = clogged_pair();
  const auto send = [&] { return sendfile(loop(), pair.left.transport, file.descriptor()); };
  pair.left.transport.close();
  EXPECT_EQ(outcome_of(send()), "WrongStateError");
  pair.left.transport.abort();
  EXPECT_EQ(outcome_of(send()), "WrongStateError");
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(outcome_of(send()), "WrongStateError");
  EXPECT_EQ(outcome_of(sendfile(loop(), Transport(), file.descriptor())), "WrongStateError");
}

// K1: so is a transport that is sending a file already.
TEST_P(SendingFiles, RefusesATransportThatSendsOne) {
  const SentFile file("hello");
  const CloggedPair pair = clogged_pair();
  const auto send = [&] { return sendfile(loop(), pair.left.transport, file.descriptor()); };
  const auto first = send();
  EXPECT_EQ(outcome_of(send()), "WrongStateError");
  unclog(pair);
  wait_for(first);
}

// K1, S25: and one whose sending side has ended.
TEST_P(SendingFilesOverSockets, RefusesATransportThatSendsNoMore) {
  const SentFile file("hello");
  const Pair pair = connected_pair();
  pair.left.transport.write_eof();
  EXPECT_EQ(outcome_of(sendfile(loop(), pair.left.transport, file.descriptor())),
            "WrongStateError");
}

// K3: until the file is sent write() is a wrong-state error.
TEST_P(SendingFiles, ForbidsWriting) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(100 * KiB), kind);
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    EXPECT_THROW(pair.left.transport.write("x"), WrongStateError);
    EXPECT_THROW(pair.left.transport.write(Buffer(std::string("x"))), WrongStateError);
    EXPECT_THROW(pair.left.transport.writelines({as_bytes("x")}), WrongStateError);
    iterate(3);
    EXPECT_THROW(pair.left.transport.write("x"), WrongStateError);
    unclog(pair);
    wait_for(future);
    pair.left.transport.write("x");
    wait_until_received(pair.right, pair.written + 100 * KiB + 1);
  }
}

// K2, S25: a write_eof() waits for the end of the file.
TEST_P(SendingFilesOverSockets, EndsTheStreamAfterTheFile) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(100 * KiB), kind);
    pair.right.keep_open = true;
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    pair.left.transport.write_eof();
    unclog(pair);
    EXPECT_EQ(wait_for(future), 100 * KiB);
    run_until_off_thread(loop(), [&] { return pair.right.count("eof_received") > 0; });
    EXPECT_TRUE(pair.right.received.substr(pair.written) == file.content());
    EXPECT_THROW(pair.left.transport.write("x"), WrongStateError);
  }
}

// K3, K4: reading pauses meanwhile, and goes on afterwards.
TEST_P(SendingFiles, PausesReading) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(100 * KiB), kind);
    pair.left.transport.set_write_buffer_limits({.high = 32 * KiB});  // the fallback waits, too
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    EXPECT_FALSE(pair.left.transport.is_reading());
    pair.right.transport.write("hello");
    settle();
    EXPECT_EQ(pair.left.received, "");
    unclog(pair);
    wait_for(future);
    EXPECT_TRUE(pair.left.transport.is_reading());
    wait_until_received(pair.left, 5);
    EXPECT_EQ(pair.left.received, "hello");
  }
}

// K3, K4: reading that was paused before stays paused.
TEST_P(SendingFiles, LeavesReadingPaused) {
  for (const FileKind kind : kinds) {
    const Pair pair = connected_pair();
    const SentFile file(pattern(100 * KiB), kind);
    pair.left.transport.pause_reading();
    wait_for(sendfile(loop(), pair.left.transport, file.descriptor(), file.whole()));
    EXPECT_FALSE(pair.left.transport.is_reading());
    pair.left.transport.resume_reading();
    EXPECT_TRUE(pair.left.transport.is_reading());
  }
}

// K4: the protocol hears nothing of flow control meanwhile, but of how it stands afterwards.
TEST_P(SendingFiles, KeepsFlowControlToItself) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(1 * MiB), kind);
    pair.left.transport.set_write_buffer_limits({.high = 32 * KiB});
    EXPECT_EQ(pair.left.calls.back(), "pause_writing");
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    unclog(pair);
    wait_for(future);
    wait_until_received(pair.right, pair.written + 1 * MiB);
    iterate(2);
    EXPECT_EQ(pair.left.count("pause_writing"), 1U);
    EXPECT_EQ(pair.left.count("resume_writing"), 1U);
    EXPECT_TRUE(pair.right.received.substr(pair.written) == file.content());
  }
}

// K4: the fallback obeys flow control.
TEST_P(SendingFiles, ObeysFlowControl) {
  const CloggedPair pair = clogged_pair();
  const Descriptor zeros(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const std::size_t high = pair.base + 40 * KiB;
  pair.left.transport.set_write_buffer_limits({.high = high});
  const auto future = sendfile(loop(), pair.left.transport, zeros.get(), {.count = 1 * MiB});
  run_until_off_thread(loop(), [&] { return pair.left.transport.get_write_buffer_size() > high; });
  for (int i = 0; i < 100; ++i) loop().run_once(std::chrono::milliseconds(1));
  EXPECT_LE(pair.left.transport.get_write_buffer_size(), high + 16 * KiB);
  EXPECT_EQ(pair.left.calls, calls("connection_made"));
  unclog(pair);
  EXPECT_EQ(wait_for(future), 1 * MiB);
  wait_until_received(pair.right, pair.written + 1 * MiB);
  EXPECT_TRUE(pair.right.received.substr(pair.written) == std::string(1 * MiB, '\0'));
}

// K4: when the peer goes away the future fails with a connection error, and the protocol is told as
// ever.
TEST_P(SendingFiles, FailsWhenThePeerGoesAway) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(1 * MiB), kind);
    pair.left.transport.set_write_buffer_limits({.high = 32 * KiB});  // the fallback waits, too
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    iterate(2);
    pair.right.transport.abort();  // with much left to read, which the system tells by a reset
    run_until_off_thread(loop(), [&] { return future.done(); });
    EXPECT_THROW(static_cast<void>(future.result()), std::system_error);
    run_until_off_thread(loop(), [&] { return pair.left.lost(); });
    EXPECT_EQ(pair.left.count("connection_lost"), 1U);
    EXPECT_LE(file.position(), 1 * MiB);
  }
}

// K4: the same when that happens in the middle of the file.
TEST_P(SendingFiles, FailsInTheMiddleOfTheFile) {
  for (const FileKind kind : kinds) {
    const Pair pair = connected_pair();
    const SentFile file(pattern(16 * MiB), kind);
    pair.right.once("data_received", [&] { pair.right.transport.abort(); });
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    run_until_off_thread(loop(), [&] { return future.done(); });
    EXPECT_THROW(static_cast<void>(future.result()), std::system_error);
    run_until_off_thread(loop(), [&] { return pair.left.lost(); });
    EXPECT_EQ(pair.left.count("connection_lost"), 1U);
    EXPECT_LT(file.position(), 16 * MiB);
  }
}

// K4, T22: the same when it has gone before.
TEST_P(SendingFiles, FailsWhenThePeerHasGone) {
  for (const FileKind kind : kinds) {
    const Pair pair = connected_pair();
    const SentFile file(pattern(16 * MiB), kind);
    pair.right.transport.abort();
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    run_until_off_thread(loop(), [&] { return future.done(); });
    EXPECT_THROW(static_cast<void>(future.result()), std::system_error);
    run_until_off_thread(loop(), [&] { return pair.left.lost(); });
    EXPECT_EQ(pair.left.count("connection_lost"), 1U);
    EXPECT_LT(file.position(), 16 * MiB);
  }
}

// K1, K4: closing or aborting the transport meanwhile ends it with a connection error.
TEST_P(SendingFiles, FailsWhenTheTransportIsClosed) {
  for (const FileKind kind : kinds) {
    for (const bool aborts : {false, true}) {
      const CloggedPair pair = clogged_pair();
      const SentFile file(pattern(100 * KiB), kind);
      const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
      iterate(2);
      aborts ? pair.left.transport.abort() : pair.left.transport.close();
      EXPECT_EQ(outcome_of(future), "Software caused connection abort");
      unclog(pair);
      run_until_off_thread(loop(), [&] { return pair.left.lost(); });
      EXPECT_FALSE(pair.left.reason);
    }
  }
}

// K5: cancelling stops it, and the transport is as before.
TEST_P(SendingFiles, StopsWhenCancelled) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(1 * MiB), kind);
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    iterate(2);
    EXPECT_TRUE(future.cancel());
    const std::uint64_t sent = file.position();
    EXPECT_LT(sent, 1 * MiB);
    EXPECT_TRUE(pair.left.transport.is_reading());
    pair.left.transport.write("after");
    unclog(pair);
    wait_until_received(pair.right, pair.written + sent + 5);
    EXPECT_TRUE(pair.right.received.substr(pair.written) ==
                file.content().substr(0, sent) + "after");
    EXPECT_EQ(outcome(future), "cancelled");
  }
}

// K5: so does cancelling in the middle of the file.
TEST_P(SendingFiles, StopsInTheMiddleWhenCancelled) {
  for (const FileKind kind : kinds) {
    const Pair pair = connected_pair();
    const SentFile file(pattern(16 * MiB), kind);
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    run_until_off_thread(loop(), [&] { return pair.right.received.size() > 64 * KiB; });
    future.cancel();
    const std::uint64_t sent = file.position();
    EXPECT_GT(sent, 64 * KiB);
    EXPECT_LT(sent, 16 * MiB);
    pair.left.transport.write("after");
    wait_until_received(pair.right, sent + 5);
    EXPECT_TRUE(pair.right.received == file.content().substr(0, sent) + "after");
  }
}

// K3: without the fallback, what the system cannot do is an error of its own, and changes nothing.
TEST_P(SendingFiles, FailsIfTheFallbackIsNotWanted) {
  const Pair pair = connected_pair();
  const SentFile file("hello", FileKind::unsendable);
  SendfileOptions options = file.whole();
  options.fallback = false;
  EXPECT_EQ(outcome_of(sendfile(loop(), pair.left.transport, file.descriptor(), options)),
            "SendfileNotAvailableError");
  const Descriptor device(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(outcome_of(sendfile(loop(), pair.left.transport, device.get(),
                                {.count = 10, .fallback = false})),
            "SendfileNotAvailableError");
  EXPECT_TRUE(pair.left.transport.is_reading());
  pair.left.transport.write("goes on");
  wait_until_received(pair.right, 7);
  EXPECT_EQ(pair.right.received, "goes on");
}

// L36: the fallback needs the default executor.
TEST_P(SendingFiles, FailsWithoutAnExecutor) {
  const Pair pair = connected_pair();
  const SentFile file("hello", FileKind::unsendable);
  result_off_thread(loop(), loop().shutdown_default_executor());
  EXPECT_EQ(outcome_of(sendfile(loop(), pair.left.transport, file.descriptor(), file.whole())),
            "WrongStateError");
  EXPECT_TRUE(pair.left.transport.is_reading());
  pair.left.transport.write("goes on");
  wait_until_received(pair.right, 7);
}

// K4, B12: the user may hand the transport to another protocol meanwhile.
TEST_P(SendingFiles, LetsTheProtocolBeReplaced) {
  for (const FileKind kind : kinds) {
    const CloggedPair pair = clogged_pair();
    const SentFile file(pattern(100 * KiB), kind);
    const auto future = sendfile(loop(), pair.left.transport, file.descriptor(), file.whole());
    Recorder& next = new_recorder("next");
    hand_over(pair.left, next);
    unclog(pair);
    EXPECT_EQ(wait_for(future), 100 * KiB);
    pair.right.transport.write("hello");
    wait_until_received(next, 5);
  }
}

// L6: a loop that is closed drops it.
TEST_P(SendingFiles, EndsWithTheLoop) {
  const CloggedPair one = clogged_pair();
  const CloggedPair two = clogged_pair();
  const SentFile sendable(pattern(100 * KiB));
  const SentFile unsendable(pattern(100 * KiB), FileKind::unsendable);
  const auto first = sendfile(loop(), one.left.transport, sendable.descriptor(), sendable.whole());
  const auto second =
      sendfile(loop(), two.left.transport, unsendable.descriptor(), unsendable.whole());
  iterate(2);
  loop().close();
  EXPECT_EQ(outcome(first), "pending");
  EXPECT_EQ(outcome(second), "pending");
  EXPECT_EQ(outcome(sendfile(loop(), one.left.transport, sendable.descriptor())),
            "WrongStateError");
  destroy_loop();
  first.cancel();
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SendingFiles, ::testing::ValuesIn(stream_makers()), maker_name);
INSTANTIATE_TEST_SUITE_P(Behaviour, SendingFilesOverSockets, ::testing::ValuesIn(socket_makers()),
                         maker_name);

}  // namespace
}  // namespace weir::test
