#include <weir/sock.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "descriptor_support.h"
#include "loop_support.h"
#include "loop_test.h"
#include "off_thread.h"
#include "sent_file.h"

// sendfile() on sockets of the user's own, K5; and where there is none, K1.
namespace weir::test {
namespace {

class SocketFiles : public EveryLoop {
 protected:
  void TearDown() override {
    // A thread that still reads for a cancelled call has a descriptor of the file.
    if (!loop().is_closed()) result_off_thread(loop(), loop().shutdown_default_executor());
    EveryLoop::TearDown();
  }

  template <class T>
  std::string outcome_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    return outcome(future);
  }
  /// Drives the loop until `future` is done, and returns what arrived at `descriptor`.
  std::string receive_until_done(int descriptor, const Future<std::uint64_t>& future) {
    std::string received;
    run_until([&] {
      const bool done = future.done();
      const std::string part = receive(descriptor);
      received += part;
      return done && part.empty();
    });
    return received;
  }

  static constexpr FileKind kinds[] = {FileKind::sendable, FileKind::unsendable};
};

// K5: sock_sendfile() sends a file, or a part of it, of either kind, in as many turns as it takes.
TEST_P(SocketFiles, SendAFile) {
  for (const FileKind kind : kinds) {
    const SocketPair pair;
    const SentFile file(pattern(5 * MiB), kind);
    auto future = sock_sendfile(loop(), pair.a(), file.descriptor(), file.whole());
    EXPECT_TRUE(receive_until_done(pair.b(), future) == file.content());
    EXPECT_EQ(run_until_done(future), 5 * MiB);
    EXPECT_EQ(file.position(), 5 * MiB);
    future = sock_sendfile(loop(), pair.a(), file.descriptor(), file.part(MiB, 2 * MiB));
    EXPECT_TRUE(receive_until_done(pair.b(), future) == file.content().substr(MiB, 2 * MiB));
    EXPECT_EQ(file.position(), 3 * MiB);
  }
}

// K5: what the system can do at once is done at once.
TEST_P(SocketFiles, AreSentAtOnceIfPossible) {
  const SocketPair pair;
  const SentFile file("hello");
  const auto future = sock_sendfile(loop(), pair.a(), file.descriptor(), file.whole());
  EXPECT_TRUE(future.done());
  EXPECT_EQ(run_until_done(future), 5U);
  EXPECT_EQ(receive(pair.b()), "hello");
  EXPECT_EQ(run_until_done(sock_sendfile(loop(), pair.a(), SentFile("").descriptor())), 0U);
}

// K5: bad arguments, and sockets that carry no stream, are argument errors.
TEST_P(SocketFiles, RefuseBadArguments) {
  const SocketPair pair;
  const SentFile file("hello");
  const auto outcome_for = [&](int socket, int which, SendfileOptions options) {
    return outcome_of(sock_sendfile(loop(), socket, which, options));
  };
  EXPECT_EQ(outcome_for(pair.a(), file.descriptor(), {.count = 0}), "invalid_argument");
  EXPECT_EQ(outcome_for(pair.a(), -1, {}), "invalid_argument");
  EXPECT_EQ(outcome_for(-1, file.descriptor(), {}), "invalid_argument");
  const Descriptor datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  EXPECT_EQ(outcome_for(datagrams.get(), file.descriptor(), {}), "invalid_argument");
  EXPECT_EQ(outcome_for(file.descriptor(), file.descriptor(), {}), "invalid_argument");
  loop().set_debug(true);
  const Descriptor blocking(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(outcome_for(blocking.get(), file.descriptor(), {}), "invalid_argument");  // L25
}

// K3, K5: without the fallback, what the system cannot do is an error of its own.
TEST_P(SocketFiles, FailIfTheFallbackIsNotWanted) {
  const SocketPair pair;
  const SentFile file("hello", FileKind::unsendable);
  SendfileOptions options = file.whole();
  options.fallback = false;
  EXPECT_THROW(run_until_done(sock_sendfile(loop(), pair.a(), file.descriptor(), options)),
               SendfileNotAvailableError);
}

// K4, K5, O5: a peer that is gone is a connection error, and no signal.
TEST_P(SocketFiles, FailWhenThePeerIsGone) {
  for (const FileKind kind : kinds) {
    SocketPair pair;
    const SentFile file(pattern(5 * MiB), kind);
    const auto future = sock_sendfile(loop(), pair.a(), file.descriptor(), file.whole());
    run_until([&] { return !receive(pair.b()).empty(); });
    pair.close_b();
    EXPECT_EQ(outcome_of(future), "Broken pipe");
    EXPECT_LT(file.position(), 5 * MiB);
  }
}

// K5, K8: cancelling stops it, and watches nothing any more.
TEST_P(SocketFiles, StopWhenCancelled) {
  for (const FileKind kind : kinds) {
    const SocketPair pair;
    const SentFile file(pattern(5 * MiB), kind);
    const auto future = sock_sendfile(loop(), pair.a(), file.descriptor(), file.whole());
    run_until([&] { return !receive(pair.b()).empty(); });
    EXPECT_TRUE(future.cancel());
    EXPECT_LT(file.position(), 5 * MiB);
    while (!receive(pair.b()).empty()) {
    }
    iterate(3);
    EXPECT_EQ(receive(pair.b()), "");
    EXPECT_EQ(outcome(future), "cancelled");
  }
}

// K5: both descriptors stay the caller's, who may close them at once.
TEST_P(SocketFiles, LetTheCallerCloseBoth) {
  for (const FileKind kind : kinds) {
    SocketPair pair;
    SentFile file(pattern(5 * MiB), kind);
    const auto future = sock_sendfile(loop(), pair.a(), file.descriptor(), file.whole());
    pair.close_a();
    file.close();
    EXPECT_TRUE(receive_until_done(pair.b(), future) == file.content());
  }
}

// K9: a transport's socket is refused.
TEST_P(SocketFiles, RefuseATransportsSocket) {
  SocketPair pair;
  const SentFile file("hello");
  Recorder recorder(loop(), ProtocolKind::stream, "transport");
  ConnectOptions options;
  options.sock = pair.a();
  run_until_done(create_connection(
      loop(), [&] { return std::make_shared<RecordingProtocol>(recorder); }, options));
  EXPECT_EQ(outcome_of(sock_sendfile(loop(), pair.release_a(), file.descriptor())),
            "WrongStateError");
  recorder.transport.abort();
  run_until([&] { return recorder.lost(); });
}

// K1: pipes send no files, whatever could.
TEST_P(SocketFiles, AreNotForPipes) {
  const SentFile file("hello");
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  struct Silent {
    Transport transport;
    void connection_made(Transport made) { transport = made; }
    void data_received(std::span<const std::byte>) {}
  };
  const auto reader = run_until_done(connect_read_pipe<Silent>(loop(), ends[0]));
  const auto writer = run_until_done(connect_write_pipe<Silent>(loop(), ends[1]));
  for (const Transport& transport : {reader.transport, writer.transport}) {
    EXPECT_EQ(outcome_of(sendfile(loop(), transport, file.descriptor())), "WrongStateError");
    transport.close();
  }
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SocketFiles,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

/// The loops without such sockets.
class NoSocketFiles : public EveryLoop {};

// K5: the system's sockets are no part of a simulation.
TEST_P(NoSocketFiles, AreUnsupported) {
  const SocketPair pair;
  const SentFile file("hello");
  EXPECT_THROW(run_until_done(sock_sendfile(loop(), pair.a(), file.descriptor())),
               UnsupportedOperationError);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, NoSocketFiles,
                         ::testing::ValuesIn(backends_with_descriptors(false)), backend_name);

}  // namespace
}  // namespace weir::test
