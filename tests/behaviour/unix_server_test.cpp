// V14, V15: servers on Unix sockets, and what becomes of their paths.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "unix_support.h"

namespace weir::test {
namespace {

/// What needs the system's sockets and files.
class SystemUnixServer : public EveryUnixEndpoint {
 protected:
  bool exists(const std::string& path) const {
    return std::filesystem::exists(std::filesystem::symlink_status(path));
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.file("socket");
};

INSTANTIATE_TEST_SUITE_P(Behaviour, SystemUnixServer,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

// V5, V9, V14: a server is listening when the future is done, until it is closed; connections go on.
TEST_P(EveryUnixEndpoint, ServesUntilItIsClosed) {
  const std::string path = new_socket_path();
  const Server server = listen_at(path);
  EXPECT_TRUE(server.is_serving());
  Recorder& client = connect_to(path);
  server.close();
  EXPECT_FALSE(server.is_serving());
  EXPECT_TRUE(server.sockets().empty());
  EXPECT_EQ(try_to_connect_to(path), "No such file or directory");
  client.transport.write("still there?");
  run_until([&] { return accepted.back().received == "still there?"; });
  auto closed = server.wait_closed();
  EXPECT_FALSE(closed.done());
  client.transport.close();
  run_until_done(closed);
}

// V5: without start_serving the path is bound, and nobody answers.
TEST_P(EveryUnixEndpoint, StartsServingWhenAsked) {
  const std::string path = new_socket_path();
  const Server server = listen_at(path, {.start_serving = false});
  EXPECT_FALSE(server.is_serving());
  EXPECT_EQ(try_to_connect_to(path), "Connection refused");
  run_until_done(server.start_serving());
  connect_to(path);
}

// V14: a path may be served again once its server is closed.
TEST_P(EveryUnixEndpoint, MayBeServedAgain) {
  const std::string path = new_socket_path();
  for (int round = 0; round < 3; ++round) {
    const Server server = listen_at(path);
    connect_to(path);
    server.close();
  }
}

// V10, V13: cancelling serve_forever() closes the server and its connections.
TEST_P(EveryUnixEndpoint, ServesForever) {
  const std::string path = new_socket_path();
  const Server server = listen_at(path, {.start_serving = false});
  auto serving = server.serve_forever();
  const Recorder& client = connect_to(path);
  serving.cancel();
  run_until([&] { return serving.done() && client.lost(); });
  EXPECT_EQ(outcome(serving), "cancelled");
  EXPECT_EQ(client.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// B11: what the factory throws closes that connection, and serving goes on.
TEST_P(EveryUnixEndpoint, ServesOnWhenTheFactoryThrows) {
  const std::string path = new_socket_path();
  int made = 0;
  const Server server = run_until_done(create_unix_server(
      loop(),
      [&]() -> std::shared_ptr<Protocol> {
        if (++made == 1) throw TestError();
        return std::make_shared<RecordingProtocol>(
            accepted.emplace_back(loop(), ProtocolKind::stream, "accepted"));
      },
      path));
  Recorder& first = new_client();
  run_until_done(start_connecting_to(first, path));
  run_until([&] { return first.lost(); });
  connect_to(path);
}

// V14: a stale socket is removed first.
TEST_P(SystemUnixServer, RemovesAStaleSocket) {
  { const Descriptor stale = unix_socket(path_); }
  ASSERT_TRUE(exists(path_));
  const Server server = listen_at(path_);
  connect_to(path_);
}

// V14: any other file stays as it is, and its name is in the error.
TEST_P(SystemUnixServer, LeavesOtherFiles) {
  const std::string file = directory_.file("data");
  std::ofstream(file) << "contents";
  const std::string dangling = directory_.file("link");
  ASSERT_EQ(::symlink("nowhere", dangling.c_str()), 0);
  for (const std::string& taken : {file, directory_.path(), dangling}) {
    auto future = start_listening_at(taken);
    EXPECT_EQ(text_of(future), "bind to " + taken + ": Address already in use");
    EXPECT_TRUE(exists(taken));
  }
  EXPECT_EQ(contents(file), "contents");
}

// V14: so is the name of a path that cannot be made.
TEST_P(SystemUnixServer, NamesThePathThatItCannotBindTo) {
  const std::string path = directory_.file("no/such/directory");
  EXPECT_EQ(text_of(start_listening_at(path)), "bind to " + path + ": No such file or directory");
}

// V14: two servers cannot tell each other from a stale socket: the later one takes the path, as in
// asyncio, and the former goes without it.
TEST_P(SystemUnixServer, LosesItsPathToALaterServer) {
  const Server former = listen_at(path_);
  const Server later = listen_at(path_);
  former.close();
  EXPECT_TRUE(exists(path_));
  connect_to(path_);
  later.close();
  EXPECT_FALSE(exists(path_));
}

// V15: closing removes the path, at once, and once only.
TEST_P(SystemUnixServer, RemovesItsPathWhenItCloses) {
  const Server server = listen_at(path_);
  EXPECT_TRUE(exists(path_));
  server.close();
  EXPECT_FALSE(exists(path_));
  const Server next = listen_at(path_);
  server.close();
  EXPECT_TRUE(exists(path_));
}

// V15: so does the end of its loop.
TEST_P(SystemUnixServer, RemovesItsPathWhenItsLoopCloses) {
  const std::string kept = directory_.file("kept");
  listen_at(path_);
  listen_at(kept, {.cleanup_socket = false});
  loop().close();
  EXPECT_FALSE(exists(path_));
  EXPECT_TRUE(exists(kept));
}

// V15: unless it was told not to.
TEST_P(SystemUnixServer, LeavesItsPathWhenTold) {
  const Server server = listen_at(path_, {.cleanup_socket = false});
  server.close();
  EXPECT_TRUE(exists(path_));
}

// V15: what took the place of the path stays.
TEST_P(SystemUnixServer, LeavesWhatReplacedItsPath) {
  const Server server = listen_at(path_);
  std::filesystem::rename(path_, directory_.file("elsewhere"));
  std::ofstream(path_) << "contents";
  server.close();
  EXPECT_EQ(contents(path_), "contents");
}

// V15: a path that is gone already is fine.
TEST_P(SystemUnixServer, ToleratesAPathThatIsGone) {
  const Server server = listen_at(path_);
  std::filesystem::remove(path_);
  server.close();
  EXPECT_EQ(take_logs(), Calls());
}

// V15: a path that cannot be looked at is logged.
TEST_P(SystemUnixServer, LogsThatItCannotRemoveItsPath) {
  const std::string below = directory_.file("below");
  std::filesystem::create_directory(below);
  const std::string path = below + "/socket";
  const Server server = listen_at(path);
  std::filesystem::remove_all(below);
  std::ofstream(below) << "no directory any more";
  server.close();
  EXPECT_EQ(take_logs(), calls("warning: Unable to clean up listening UNIX socket " + path +
                               ": Not a directory"));
}

// V14, V15: a bound socket may be given instead; it becomes the server's, and so does its path.
TEST_P(SystemUnixServer, TakesABoundSocket) {
  Descriptor bound = unix_socket(path_);
  const int number = bound.release();
  const Server server =
      run_until_done(create_unix_server(loop(), accepting_factory(), {.sock = number}));
  EXPECT_EQ(server.sockets().at(0).descriptor, number);
  connect_to(path_);
  server.close();
  EXPECT_FALSE(exists(path_));
  EXPECT_FALSE(is_open(number));
}

// V15: an abstract name leaves nothing to remove.
TEST_P(SystemUnixServer, HasNothingToRemoveOfAnAbstractName) {
  const std::string name = std::string(1, '\0') + path_.substr(1);
  std::ofstream(path_) << "of the same name";
  const Server server = listen_at(name);
  connect_to(name);
  server.close();
  EXPECT_TRUE(exists(path_));
}

// V6, V14: a backlog of one accepts them all, one turn after the other.
TEST_P(SystemUnixServer, AcceptsMoreThanItsBacklog) {
  const Server server = listen_at(path_, {.backlog = 1});
  for (int i = 0; i < 8; ++i) connect_to(path_);
  EXPECT_EQ(accepted.size(), 8U);
}

}  // namespace weir::test
