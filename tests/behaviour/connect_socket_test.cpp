#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "endpoint_support.h"

// Connections over descriptors that are open already: N2, N9, N10, N12, L30, V2.
namespace weir::test {
namespace {

class AdoptedSockets : public EveryEndpoint {
 protected:
  /// Both openers that take a connected socket; the future of one on `descriptor`.
  auto open_on(int descriptor, Recorder& recorder, bool as_client) {
    return as_client ? create_connection(loop(), factory_of(recorder), {.sock = descriptor})
                     : connect_accepted_socket(loop(), factory_of(recorder), descriptor);
  }

  /// What opening on `descriptor` ends as; both openers and create_server() must agree.
  std::string refusal_of(int descriptor) {
    Recorder& client = new_client();
    const std::string as_client = outcome_of(open_on(descriptor, client, true));
    EXPECT_EQ(outcome_of(open_on(descriptor, client, false)), as_client);
    EXPECT_EQ(outcome_of(create_server(loop(), accepting_factory(), {.sock = descriptor})),
              as_client);
    EXPECT_EQ(client.calls, Calls());
    return as_client;
  }

  static bool blocks(int descriptor) { return (fcntl(descriptor, F_GETFL) & O_NONBLOCK) == 0; }

  static Descriptor tcp_socket(int type = SOCK_STREAM) {
    return Descriptor(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  }
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  /// A blocking socket, connected to `port`.
  static Descriptor connected_to(std::uint16_t port) {
    Descriptor socket = tcp_socket();
    const sockaddr_in address = loopback(port);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return socket;
  }
  /// A blocking socket, bound to a free port.
  static Descriptor bound() {
    Descriptor socket = tcp_socket();
    const sockaddr_in address = loopback(0);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
};

// N10, N12: a connected socket is taken, of any stream family; the transport owns it.
TEST_P(AdoptedSockets, BecomeTransports) {
  for (const bool as_client : {true, false}) {
    SocketPair pair;
    Recorder& recorder = new_client();
    const int descriptor = pair.release_a();
    const auto connection = run_until_done(open_on(descriptor, recorder, as_client));
    EXPECT_EQ(connection.transport.get_extra_info<SocketView>("socket")->descriptor, descriptor);
    connection.transport.write("hello");
    EXPECT_EQ(receive(pair.b()), "hello");
    send(pair.b(), "answer");
    run_until([&] { return recorder.received == "answer"; });
    connection.transport.close();
    run_until([&] { return recorder.lost(); });
    iterate(2);
    EXPECT_FALSE(is_open(descriptor));
    EXPECT_EQ(recorder.calls, calls("connection_made", "data_received:answer", "connection_lost"));
  }
}

// N10: the socket is switched to non-blocking.
TEST_P(AdoptedSockets, AreSwitchedToNonBlocking) {
  const Server server = listen();
  Descriptor socket = connected_to(port_of(server));
  EXPECT_TRUE(blocks(socket.get()));
  const auto connection = run_until_done(open_on(socket.get(), new_client(), true));
  EXPECT_FALSE(blocks(socket.release()));
}

// X1: the transport of an adopted socket knows its addresses.
TEST_P(AdoptedSockets, KnowTheirAddresses) {
  const Server server = listen();
  Descriptor socket = connected_to(port_of(server));
  Recorder& client = new_client();
  run_until_done(open_on(socket.release(), client, true));
  run_until([&] { return accepted.size() == 1 && accepted[0].made(); });
  const auto sockname = client.transport.get_extra_info<Address>("sockname");
  EXPECT_EQ(client.transport.get_extra_info<Address>("peername"),
            Address::parse("127.0.0.1", port_of(server)));
  EXPECT_EQ(sockname, accepted[0].transport.get_extra_info<Address>("peername"));
}

// S30: a TCP connection has no delay set, an adopted one as well.
TEST_P(AdoptedSockets, HaveNoDelaySet) {
  const Server server = listen();
  const auto no_delay = [](const Transport& transport) {
    int value = 0;
    socklen_t length = sizeof value;
    const int descriptor = transport.get_extra_info<SocketView>("socket")->descriptor;
    EXPECT_EQ(getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    return value != 0;
  };
  Recorder& client = new_client();
  run_until_done(open_on(connected_to(port_of(server)).release(), client, true));
  run_until([&] { return accepted.size() == 1 && accepted[0].made(); });
  EXPECT_TRUE(no_delay(client.transport));
  EXPECT_TRUE(no_delay(accepted[0].transport));
  EXPECT_TRUE(no_delay(connect(port_of(server)).transport));
}

// B8: data that waited in the socket comes after connection_made() and the completion.
TEST_P(AdoptedSockets, DeliverDataThatWaited) {
  SocketPair pair;
  pair.send_to_a("waited");
  pair.close_b();
  Recorder& recorder = new_client();
  auto future = open_on(pair.release_a(), recorder, true);
  future.add_done_callback([&](const auto&) { recorder.calls.emplace_back("completed"); });
  run_until([&] { return recorder.lost(); });
  EXPECT_EQ(recorder.calls, calls("connection_made", "completed", "data_received:waited",
                                  "eof_received", "connection_lost"));
}

// N2: a descriptor that is not open is misuse, and the error names it.
TEST_P(AdoptedSockets, AreOpen) {
  int closed = -1;
  {
    const SocketPair pair;
    closed = pair.a();
  }
  EXPECT_EQ(refusal_of(closed), "invalid_argument");
  EXPECT_EQ(refusal_of(-1), "invalid_argument");
  auto future = create_connection<Protocol>(loop(), {.sock = closed});
  run_until([&] { return future.done(); });
  EXPECT_NE(what(future.exception()).find(std::to_string(closed)), std::string::npos);
}

// N2: a regular file and a pipe are no sockets; they stay the caller's, as they were.
TEST_P(AdoptedSockets, AreSockets) {
  const Descriptor file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(refusal_of(file.get()), "invalid_argument");
  EXPECT_TRUE(is_open(file.get()));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  EXPECT_EQ(refusal_of(read_end.get()), "invalid_argument");
  EXPECT_TRUE(is_open(read_end.get()));
  EXPECT_TRUE(blocks(read_end.get()));
}

// N2, V2: a datagram socket is no stream; it stays the caller's, as it was.
TEST_P(AdoptedSockets, AreStreams) {
  const Descriptor datagram = tcp_socket(SOCK_DGRAM);
  EXPECT_EQ(refusal_of(datagram.get()), "invalid_argument");
  EXPECT_TRUE(is_open(datagram.get()));
  EXPECT_TRUE(blocks(datagram.get()));
}

// L30: a descriptor of a transport is a wrong-state error, and the transport goes on.
TEST_P(AdoptedSockets, HaveOneTransportOnly) {
  SocketPair pair;
  Recorder& recorder = new_client();
  const int descriptor = pair.release_a();
  const auto connection = run_until_done(open_on(descriptor, recorder, true));
  EXPECT_EQ(refusal_of(descriptor), "WrongStateError");
  connection.transport.write("still here");
  EXPECT_EQ(receive(pair.b()), "still here");
  send(pair.b(), "so am I");
  run_until([&] { return recorder.received == "so am I"; });
}

// L30: the same while the first transport is still being made.
TEST_P(AdoptedSockets, HaveOneTransportOnlyFromTheStart) {
  SocketPair pair;
  Recorder& first = new_client();
  const int descriptor = pair.release_a();
  auto future = open_on(descriptor, first, true);
  EXPECT_EQ(refusal_of(descriptor), "WrongStateError");
  EXPECT_EQ(outcome_of(future), "result");
}

// B11, N9: when the factory throws, the socket is closed: it had been handed over.
TEST_P(AdoptedSockets, AreClosedWhenTheFactoryThrows) {
  for (const bool as_client : {true, false}) {
    SocketPair pair;
    const int descriptor = pair.release_a();
    const auto throwing = []() -> std::shared_ptr<Protocol> { throw TestError(); };
    auto future = as_client ? create_connection(loop(), throwing, {.sock = descriptor})
                            : connect_accepted_socket(loop(), throwing, descriptor);
    EXPECT_EQ(outcome_of(future), "test error");
    EXPECT_FALSE(is_open(descriptor));
  }
}

// N9: cancelling closes the socket before the cancellation is delivered.
TEST_P(AdoptedSockets, AreClosedWhenCancelled) {
  SocketPair pair;
  const int descriptor = pair.release_a();
  Recorder& recorder = new_client();
  auto future = open_on(descriptor, recorder, true);
  EXPECT_TRUE(future.cancel());
  EXPECT_EQ(outcome_of(future), "cancelled");
  EXPECT_FALSE(is_open(descriptor));
  EXPECT_EQ(recorder.calls, Calls());
}

// L6: closing the loop closes the socket of a connection that was being opened.
TEST_P(AdoptedSockets, AreClosedWithTheLoop) {
  SocketPair pair;
  const int descriptor = pair.release_a();
  Recorder& recorder = new_client();
  auto future = open_on(descriptor, recorder, true);
  loop().close();
  EXPECT_FALSE(is_open(descriptor));
  EXPECT_EQ(recorder.calls, Calls());
}

// V2: create_server() takes a bound socket, and owns it.
TEST_P(AdoptedSockets, BecomeServers) {
  Descriptor socket = bound();
  const int descriptor = socket.release();
  const Server server =
      run_until_done(create_server(loop(), accepting_factory(), {.sock = descriptor}));
  ASSERT_EQ(server.sockets().size(), 1U);
  EXPECT_EQ(server.sockets()[0].descriptor, descriptor);
  EXPECT_FALSE(blocks(descriptor));
  connect(port_of(server));
  EXPECT_EQ(accepted.at(0).calls, calls("connection_made"));
  server.close();
  EXPECT_FALSE(is_open(descriptor));
}

// V5: a socket that listens already is taken with the connections that wait in it.
TEST_P(AdoptedSockets, BecomeServersWhenListeningAlready) {
  Descriptor socket = bound();
  ASSERT_EQ(::listen(socket.get(), 5), 0);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  const Descriptor early = connected_to(ntohs(address.sin_port));
  const Server server =
      run_until_done(create_server(loop(), accepting_factory(), {.sock = socket.release()}));
  send(early.get(), "early");
  run_until([&] { return accepted.size() == 1 && accepted[0].received == "early"; });
}

// V2: hosts together with a socket are misuse; the socket stays the caller's.
TEST_P(AdoptedSockets, AreNotTakenTogetherWithHosts) {
  const Descriptor socket = bound();
  EXPECT_EQ(outcome_of(start_listening("127.0.0.1", 0, {.sock = socket.get()})),
            "invalid_argument");
  EXPECT_TRUE(is_open(socket.get()));
  EXPECT_TRUE(blocks(socket.get()));
}

// L30: the socket of a server is nobody else's.
TEST_P(AdoptedSockets, AreNotThoseOfAServer) {
  const Server server = listen();
  const int descriptor = server.sockets().at(0).descriptor;
  EXPECT_EQ(refusal_of(descriptor), "WrongStateError");
  EXPECT_THROW(loop().add_reader(descriptor, [] {}), WrongStateError);
  connect(port_of(server));
}

INSTANTIATE_TEST_SUITE_P(Behaviour, AdoptedSockets,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
