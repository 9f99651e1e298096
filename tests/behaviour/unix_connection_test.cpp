// N11: clients of Unix sockets.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "unix_support.h"

namespace weir::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryUnixEndpoint, ::testing::ValuesIn(backends()),
                         backend_name);

/// What needs the system's sockets and files.
class SystemUnixConnection : public EveryUnixEndpoint {
 protected:
  auto start_with(int sock) {
    return create_unix_connection(loop(), factory_of(new_client()), {.sock = sock});
  }
};

INSTANTIATE_TEST_SUITE_P(Behaviour, SystemUnixConnection,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

/// `name` in front of which there is a NUL: one of no file.
std::string abstract(const std::string& name) { return std::string(1, '\0') + name; }

}  // namespace

// N11, X1: a path leads to its server; both ends know the names.
TEST_P(EveryUnixEndpoint, ConnectsToAPath) {
  const std::string path = new_socket_path();
  const Server server = listen_at(path);
  Recorder& client = connect_to(path);
  Recorder& other = accepted.back();
  client.transport.write("question");
  run_until([&] { return other.received == "question"; });
  other.transport.write("answer");
  run_until([&] { return client.received == "answer"; });
  const Address name = Address::unix_socket(path);
  EXPECT_EQ(server.sockets().at(0).sockname, name);
  EXPECT_EQ(client.transport.get_extra_info<Address>("peername"), name);
  EXPECT_EQ(other.transport.get_extra_info<Address>("sockname"), name);
  EXPECT_EQ(client.transport.get_extra_info<Address>("sockname"), Address::unix_socket(""));
  EXPECT_EQ(other.transport.get_extra_info<Address>("peername"), Address::unix_socket(""));
}

// N11: so does an abstract name, which may have any bytes.
TEST_P(EveryUnixEndpoint, ConnectsToAnAbstractName) {
  const std::string name = abstract("weir" + new_socket_path() + '\0' + "x");
  const Server server = listen_at(name);
  Recorder& client = connect_to(name);
  client.transport.write("hello");
  run_until([&] { return accepted.back().received == "hello"; });
  EXPECT_EQ(client.transport.get_extra_info<Address>("peername"), Address::unix_socket(name));
  EXPECT_EQ(try_to_connect_to(abstract("weir" + new_socket_path())), "Connection refused");
}

// N11: exactly one of path and sock.
TEST_P(EveryUnixEndpoint, TakesEitherAPathOrASocket) {
  EXPECT_EQ(text_of(start_connecting_to(new_client(), new_socket_path(), {.sock = 0})),
            "create_unix_connection() takes either a path or options.sock, not both");
  EXPECT_EQ(text_of(create_unix_connection<Protocol>(loop(), UnixConnectOptions())),
            "create_unix_connection() needs a path, or a connected Unix socket in options.sock");
  EXPECT_EQ(text_of(start_listening_at(new_socket_path(), {.sock = 0})),
            "create_unix_server() takes either a path or options.sock, not both");
  EXPECT_EQ(text_of(create_unix_server<Protocol>(loop(), UnixServerOptions())),
            "create_unix_server() needs a path, or a bound Unix socket in options.sock");
}

// N11, V14: what cannot be a path is refused, and the text says why.
TEST_P(EveryUnixEndpoint, RefusesWhatIsNoPath) {
  const auto refused = [&](std::string_view path) {
    const std::string text = text_of(start_connecting_to(new_client(), path));
    EXPECT_EQ(text_of(start_listening_at(path)), text);
    return text;
  };
  EXPECT_EQ(refused(""), "the path of a Unix socket is empty");
  EXPECT_EQ(refused(std::string_view("/tmp/a\0b", 8)),
            "the path of a Unix socket, /tmp/a..., has a NUL in it: only an abstract name has one, "
            "in front");
  const std::string long_path = "/tmp/" + std::string(103, 'x');
  EXPECT_EQ(refused(long_path), "Unix socket " + long_path +
                                    " of 108 bytes, where at most 107 fit: File name too long");
  const std::string long_name(108, 'x');
  EXPECT_EQ(refused(abstract(long_name)), "Unix socket @" + long_name +
                                              " of 109 bytes, where at most 108 fit: File name too "
                                              "long");
}

// N11, V14: the longest path and the longest abstract name are fine.
TEST_P(EveryUnixEndpoint, TakesTheLongestNames) {
  std::string path = new_socket_path();
  path.resize(107, 'x');
  std::string name = abstract(path);
  ASSERT_EQ(name.size(), 108U);
  for (const std::string& longest : {path, name}) {
    const Server server = listen_at(longest);
    const Recorder& client = connect_to(longest);
    EXPECT_EQ(client.transport.get_extra_info<Address>("peername"), Address::unix_socket(longest));
  }
}

// N13: what cannot be reached is named in the text.
TEST_P(EveryUnixEndpoint, NamesThePathThatItCannotReach) {
  const std::string path = new_socket_path();
  auto future = start_connecting_to(new_client(), path);
  EXPECT_EQ(text_of(future), "connect to " + path + ": No such file or directory");
  EXPECT_EQ(outcome(future), "No such file or directory");
}

// N4, B11: the factory is called once there is a connection; what it throws the future gives.
TEST_P(EveryUnixEndpoint, FailsWithWhatTheFactoryThrows) {
  const std::string path = new_socket_path();
  int made = 0;
  const auto failing = [&]() -> std::shared_ptr<Protocol> {
    ++made;
    throw TestError();
  };
  EXPECT_EQ(outcome_of(create_unix_connection(loop(), failing, path)), "No such file or directory");
  EXPECT_EQ(made, 0);
  const Server server = listen_at(path);
  EXPECT_EQ(outcome_of(create_unix_connection(loop(), failing, path)), "test error");
  EXPECT_EQ(made, 1);
  run_until([&] { return accepted.size() == 1 && accepted.back().lost(); });
}

// N9, B4: cancelled at any stage, a protocol gets both its callbacks or none.
TEST_P(EveryUnixEndpoint, MayBeCancelledAtAnyStage) {
  const std::string path = new_socket_path();
  const Server server = listen_at(path);
  for (int iterations = 0; iterations < 8; ++iterations) {
    Recorder& client = new_client();
    auto future = start_connecting_to(client, path);
    iterate(iterations);
    if (!future.cancel()) break;
    run_until([&] { return client.protocols_alive == 0 && outcome(future) == "cancelled"; });
    iterate(3);
    EXPECT_EQ(client.made(), client.lost());
  }
}

// L7: a closed loop opens nothing.
TEST_P(EveryUnixEndpoint, IsNotOpenedByAClosedLoop) {
  loop().close();
  EXPECT_EQ(outcome(create_unix_connection<Protocol>(loop(), "/x")), "WrongStateError");
  EXPECT_EQ(outcome(create_unix_server<Protocol>(loop(), "/x")), "WrongStateError");
}

// X1: a process knows who is at the other end.
TEST_P(SystemUnixConnection, KnowsWhoIsAtTheOtherEnd) {
  const std::string path = new_socket_path();
  const Server server = listen_at(path);
  Recorder& client = connect_to(path);
  for (const Recorder* end : {&client, &accepted.back()}) {
    const auto peer = end->transport.get_extra_info<PeerCredentials>("peercred");
    ASSERT_TRUE(peer);
    EXPECT_EQ(peer->process_id, ::getpid());
    EXPECT_EQ(peer->user_id, ::getuid());
    EXPECT_EQ(peer->group_id, ::getgid());
  }
}

// N13: what is there, but is no server, is named, with what the system says of it.
TEST_P(SystemUnixConnection, NamesWhatIsNoServer) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("data")) << "contents";
  EXPECT_EQ(text_of(start_connecting_to(new_client(), directory.file("data"))),
            "connect to " + directory.file("data") + ": Connection refused");
  EXPECT_EQ(try_to_connect_to(directory.path()), "Connection refused");
  const Descriptor stale = unix_socket(directory.file("stale"));
  EXPECT_EQ(try_to_connect_to(directory.file("stale")), "Connection refused");
  const Descriptor datagrams = unix_socket(directory.file("datagrams"), SOCK_DGRAM);
  EXPECT_EQ(try_to_connect_to(directory.file("datagrams")), "Protocol wrong type for socket");
  EXPECT_EQ(try_to_connect_to(directory.file("data/below")), "Not a directory");
}

// N11: a server whose backlog is full is an error at once; Linux knows no waiting for it.
TEST_P(SystemUnixConnection, FailsWhenTheBacklogIsFull) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("busy");
  const Descriptor listener = unix_socket(path);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  Recorder& first = new_client();
  run_until_done(start_connecting_to(first, path));
  EXPECT_EQ(text_of(start_connecting_to(new_client(), path)),
            "connect to " + path + ": Resource temporarily unavailable");
}

// N10, N11: a connected Unix socket may be given instead; it becomes the transport's.
TEST_P(SystemUnixConnection, TakesAConnectedSocket) {
  SocketPair pair;
  const int number = pair.release_a();
  Recorder& client = new_client();
  const auto connection =
      run_until_done(create_unix_connection(loop(), factory_of(client), {.sock = number}));
  EXPECT_EQ(connection.transport.get_extra_info<SocketView>("socket")->descriptor, number);
  EXPECT_NE(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
  send(pair.b(), "hello");
  run_until([&] { return client.received == "hello"; });
  auto again = start_with(number);
  EXPECT_EQ(outcome_of(again), "WrongStateError");
  client.transport.close();
  run_until([&] { return client.lost(); });
  iterate(1);
  EXPECT_FALSE(is_open(number));
}

// N11: a socket of another kind is refused, and stays the caller's.
TEST_P(SystemUnixConnection, RefusesOtherSockets) {
  const auto refused = [&](const Descriptor& descriptor, const std::string& text) {
    const std::string whole = "descriptor " + std::to_string(descriptor.get()) + text;
    EXPECT_EQ(text_of(start_with(descriptor.get())), whole);
    EXPECT_EQ(text_of(create_unix_server<Protocol>(loop(), {.sock = descriptor.get()})), whole);
    EXPECT_TRUE(is_open(descriptor.get()));
  };
  refused(Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
          " is an internet socket; a Unix socket is wanted");
  refused(unix_socket({}, SOCK_DGRAM), " is not a stream socket");
  refused(Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC)), " is not a socket");
  Descriptor closed = unix_socket();
  const int number = closed.get();
  closed.reset();
  EXPECT_EQ(text_of(start_with(number)), "descriptor " + std::to_string(number) + " is not open");
}

}  // namespace weir::test
