#include <weir/sock.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "descriptor_support.h"
#include "loop_support.h"
#include "loop_test.h"

// Calls on sockets of the user's own: K6-K9.
namespace weir::test {
namespace {

/// A new internet socket, non-blocking, bound to a free port of 127.0.0.1.
Descriptor bound_socket(int type) {
  Descriptor made(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("no free port");
  }
  return made;
}

Descriptor listening_socket() {
  Descriptor made = bound_socket(SOCK_STREAM);
  if (::listen(made.get(), 8) != 0) throw std::runtime_error("cannot listen");
  return made;
}

Descriptor stream_socket() {
  return Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

Address address_of(const Descriptor& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return *Address::parse("127.0.0.1", ntohs(address.sin_port));
}

std::string text_of(const std::vector<std::byte>& bytes) { return std::string(as_text(bytes)); }

/// What the error of `future` says.
template <class T>
std::string message_of(const Future<T>& future) {
  return what(future.exception());
}

/// The loops over the system's sockets.
class SocketCalls : public EveryLoop {
 protected:
  template <class T>
  std::string outcome_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    return outcome(future);
  }

  /// Each call, on `socket`, which must not do it.
  std::vector<std::string> outcomes_of_all(int socket) {
    const Address somewhere = *Address::parse("127.0.0.1", 9);
    return {outcome_of(sock_recv(loop(), socket, 1)),
            outcome_of(sock_recv_into(loop(), socket, memory)),
            outcome_of(sock_recvfrom(loop(), socket, 1)),
            outcome_of(sock_recvfrom_into(loop(), socket, memory)),
            outcome_of(sock_sendall(loop(), socket, as_bytes("x"))),
            outcome_of(sock_sendto(loop(), socket, as_bytes("x"), somewhere)),
            outcome_of(sock_accept(loop(), socket)),
            outcome_of(sock_connect(loop(), socket, somewhere)),
            outcome_of(sock_connect(loop(), socket, "127.0.0.1", 9))};
  }
  static std::vector<std::string> all(const char* outcome) {
    return std::vector<std::string>(9, outcome);
  }

  std::vector<std::byte> memory = std::vector<std::byte>(16);
};

// K6: sock_recv() takes what is there at once, and does not wait for more.
TEST_P(SocketCalls, ReceiveAtOnce) {
  const SocketPair pair;
  pair.send_to_b("hello");
  const auto future = sock_recv(loop(), pair.b(), 100);
  EXPECT_TRUE(future.done());
  EXPECT_EQ(text_of(run_until_done(future)), "hello");
  pair.send_to_b("hello");
  EXPECT_EQ(text_of(run_until_done(sock_recv(loop(), pair.b(), 3))), "hel");
  EXPECT_EQ(text_of(run_until_done(sock_recv(loop(), pair.b(), 3))), "lo");
}

// K6: else it waits until something comes.
TEST_P(SocketCalls, ReceiveWaits) {
  const SocketPair pair;
  const auto future = sock_recv(loop(), pair.b(), 100);
  iterate(3);
  EXPECT_FALSE(future.done());
  pair.send_to_b("hello");
  EXPECT_EQ(text_of(run_until_done(future)), "hello");
  EXPECT_FALSE(loop().remove_reader(pair.b()));  // nothing is watched any more
}

// K6: nothing received is the end of the stream.
TEST_P(SocketCalls, ReceiveTheEnd) {
  SocketPair pair;
  const auto future = sock_recv(loop(), pair.b(), 100);
  pair.close_a();
  EXPECT_TRUE(run_until_done(future).empty());
  EXPECT_EQ(run_until_done(sock_recv_into(loop(), pair.b(), memory)), 0U);
}

// K6: sock_recv_into() fills the caller's memory.
TEST_P(SocketCalls, ReceiveIntoMemory) {
  const SocketPair pair;
  const auto future = sock_recv_into(loop(), pair.b(), memory);
  pair.send_to_b("hello");
  EXPECT_EQ(run_until_done(future), 5U);
  EXPECT_EQ(as_text(std::span(memory).first(5)), "hello");
}

// K6, K7: datagrams arrive whole, with their sender; sock_sendto() gives the size.
TEST_P(SocketCalls, SendAndReceiveDatagrams) {
  const Descriptor left = bound_socket(SOCK_DGRAM);
  const Descriptor right = bound_socket(SOCK_DGRAM);
  const auto waiting = sock_recvfrom(loop(), right.get(), 100);
  iterate(2);
  EXPECT_EQ(run_until_done(sock_sendto(loop(), left.get(), as_bytes("hello"), address_of(right))),
            5U);
  const auto [data, sender] = run_until_done(waiting);
  EXPECT_EQ(text_of(data), "hello");
  EXPECT_EQ(sender, address_of(left));

  run_until_done(sock_sendto(loop(), left.get(), as_bytes("again"), address_of(right)));
  const auto [size, from] = run_until_done(sock_recvfrom_into(loop(), right.get(), memory));
  EXPECT_EQ(size, 5U);
  EXPECT_EQ(from, address_of(left));
  EXPECT_EQ(as_text(std::span(memory).first(5)), "again");

  run_until_done(sock_sendto(loop(), left.get(), {}, address_of(right)));
  EXPECT_TRUE(run_until_done(sock_recvfrom(loop(), right.get(), 100)).data.empty());
}

// K6: sock_recvfrom_into() receives the first n bytes, or as many as fit.
TEST_P(SocketCalls, ReceiveSoManyBytes) {
  const Descriptor socket = bound_socket(SOCK_DGRAM);
  const Address own = address_of(socket);
  for (int i = 0; i < 2; ++i) {
    run_until_done(sock_sendto(loop(), socket.get(), as_bytes("hello"), own));
  }
  EXPECT_EQ(run_until_done(sock_recvfrom_into(loop(), socket.get(), memory, 2)).size, 2U);
  EXPECT_EQ(run_until_done(sock_recvfrom_into(loop(), socket.get(), memory)).size, 5U);
  EXPECT_EQ(outcome_of(sock_recvfrom_into(loop(), socket.get(), memory, 17)), "invalid_argument");
}

// K7, C6: sock_sendall() sends all, however often it must wait; the bytes may go when it returns.
TEST_P(SocketCalls, SendAll) {
  const SocketPair pair;
  const std::string sent = pattern(4 * MiB);
  auto copy = std::make_unique<std::string>(sent);
  const auto future = sock_sendall(loop(), pair.a(), as_bytes(*copy));
  EXPECT_FALSE(future.done());
  copy->assign(copy->size(), '?');
  copy.reset();
  std::string received;
  while (received.size() < sent.size()) {
    received += text_of(run_until_done(sock_recv(loop(), pair.b(), 64 * KiB)));
  }
  run_until_done(future);
  EXPECT_TRUE(received == sent);
  const auto nothing = sock_sendall(loop(), pair.a(), {});
  EXPECT_TRUE(nothing.done());
}

// K7, C6: a datagram that has to wait for room is kept as well.
TEST_P(SocketCalls, SendDatagramsThatWait) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  const SocketPair pair(ends[0], ends[1]);
  std::string text = "kept";
  Future<std::size_t> future;
  std::size_t count = 0;
  for (; !future.valid() || future.done(); ++count) {
    future = sock_sendto(loop(), pair.a(), as_bytes(text), Address());
    ASSERT_LT(count, 100'000U);
  }
  text = "gone";
  std::vector<std::string> received;
  for (std::size_t i = 0; i < count; ++i) {
    received.push_back(text_of(run_until_done(sock_recv(loop(), pair.b(), 100))));
  }
  EXPECT_EQ(run_until_done(future), 4U);
  EXPECT_EQ(received, std::vector<std::string>(count, "kept"));
}

// K7, O5: what the system says is the error; a broken pipe does not kill.
TEST_P(SocketCalls, TellTheErrorsOfTheSystem) {
  SocketPair pair;
  pair.close_b();
  const auto broken = sock_sendall(loop(), pair.a(), as_bytes("x"));
  EXPECT_EQ(outcome_of(broken), "Broken pipe");
  EXPECT_EQ(message_of(broken), "sock_sendall: Broken pipe");
  const Descriptor unconnected = stream_socket();
  EXPECT_EQ(outcome_of(sock_recv(loop(), unconnected.get(), 1)),
            "Transport endpoint is not connected");
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_NONBLOCK | O_CLOEXEC), 0);
  const SocketPair both(pipe[0], pipe[1]);
  EXPECT_EQ(outcome_of(sock_recv(loop(), pipe[0], 1)), "Socket operation on non-socket");
}

// K7: an accepted socket is non-blocking and not inherited, and comes with its peer's address.
TEST_P(SocketCalls, Accept) {
  const Descriptor listener = listening_socket();
  const auto waiting = sock_accept(loop(), listener.get());
  iterate(2);
  EXPECT_FALSE(waiting.done());
  const Descriptor client = stream_socket();
  run_until_done(sock_connect(loop(), client.get(), address_of(listener)));
  const Accepted accepted = run_until_done(waiting);
  EXPECT_EQ(accepted.peer, address_of(client));
  EXPECT_NE(fcntl(accepted.socket.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted.socket.get(), F_GETFD) & FD_CLOEXEC, 0);
  run_until_done(sock_sendall(loop(), accepted.socket.get(), as_bytes("welcome")));
  EXPECT_EQ(text_of(run_until_done(sock_recv(loop(), client.get(), 100))), "welcome");
}

// K7: sock_connect() to a name takes an address of the socket's family, and connects once.
TEST_P(SocketCalls, ConnectToAName) {
  const Descriptor listener = listening_socket();
  for (const char* host : {"localhost", "127.0.0.1"}) {
    const Descriptor client = stream_socket();
    run_until_done(sock_connect(loop(), client.get(), host, address_of(listener).port()));
    EXPECT_EQ(run_until_done(sock_accept(loop(), listener.get())).peer, address_of(client));
  }
  const auto none_left = sock_accept(loop(), listener.get());
  iterate(3);
  EXPECT_FALSE(none_left.done());
}

// K7, N13: an error of connecting says to where.
TEST_P(SocketCalls, TellWhereConnectingFailed) {
  const Descriptor bound = bound_socket(SOCK_STREAM);  // does not listen
  const Address address = address_of(bound);
  const std::string expected = "connect to " + address.to_string() + ": Connection refused";
  const Descriptor one = stream_socket();
  const auto by_address = sock_connect(loop(), one.get(), address);
  EXPECT_EQ(outcome_of(by_address), "Connection refused");
  EXPECT_EQ(message_of(by_address), expected);
  const Descriptor two = stream_socket();
  const auto by_name = sock_connect(loop(), two.get(), "localhost", address.port());
  EXPECT_EQ(outcome_of(by_name), "Connection refused");
  EXPECT_EQ(message_of(by_name), expected);
}

// K7: names are for internet sockets only, and must be known; an address must be one.
TEST_P(SocketCalls, ConnectOnlyWhereThereIsSomewhere) {
  const SocketPair pair;
  EXPECT_EQ(outcome_of(sock_connect(loop(), pair.a(), "localhost", 80)), "invalid_argument");
  const Descriptor client = stream_socket();
  const auto unknown = sock_connect(loop(), client.get(), "::1", 80);
  EXPECT_NE(outcome_of(unknown), "result");
  EXPECT_EQ(outcome_of(sock_connect(loop(), client.get(), Address())), "invalid_argument");
}

// K7: a Unix socket connects to a path, or an abstract name.
TEST_P(SocketCalls, ConnectToAnAbstractName) {
  const Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const sockaddr none{.sa_family = AF_UNIX, .sa_data = {}};
  ASSERT_EQ(::bind(listener.get(), &none, sizeof(sa_family_t)), 0);  // the system finds a name
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  char name[128] = {};
  socklen_t length = sizeof name;
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(name), &length);
  const std::string path(name + sizeof(sa_family_t), length - sizeof(sa_family_t));
  const Descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  run_until_done(sock_connect(loop(), client.get(), Address::unix_socket(path)));
  EXPECT_TRUE(run_until_done(sock_accept(loop(), listener.get())).socket);
}

// K8: a cancelled call has received nothing, even if it could have, and watches nothing.
TEST_P(SocketCalls, LoseNothingWhenCancelled) {
  const SocketPair pair;
  const auto cancelled = sock_recv(loop(), pair.b(), 100);
  pair.send_to_b("hello");
  EXPECT_TRUE(cancelled.cancel());
  EXPECT_FALSE(loop().remove_reader(pair.b()));
  iterate(3);
  EXPECT_EQ(outcome(cancelled), "cancelled");
  EXPECT_EQ(receive(pair.b()), "hello");
}

// K8: after cancelling, the number may be used by another socket at once.
TEST_P(SocketCalls, LetGoOfTheNumberWhenCancelled) {
  Journal journal;
  SocketPair pair;
  const int number = pair.b();
  const auto cancelled = sock_recv(loop(), number, 100);
  iterate(1);
  cancelled.cancel();
  pair.close_b();
  SocketPair next;
  next.move_b_to(number);
  loop().add_reader(number, journal.note("readable"));
  iterate(2);
  EXPECT_EQ(journal.calls, Calls());
  next.send_to_b("x");
  run_until([&] { return journal.has("readable"); });
  EXPECT_TRUE(loop().remove_reader(number));
}

// K8: a newer call takes the place of an older one, which is cancelled; cancelling that again does not
// touch the newer.
TEST_P(SocketCalls, GiveWayToANewerCall) {
  const SocketPair pair;
  const auto older = sock_recv(loop(), pair.b(), 100);
  const auto newer = sock_recv(loop(), pair.b(), 100);
  EXPECT_EQ(outcome(older), "cancelled");
  EXPECT_FALSE(older.cancel());
  pair.send_to_b("hello");
  EXPECT_EQ(text_of(run_until_done(newer)), "hello");
}

// K8: so do add_reader() and remove_reader(); the other direction is not concerned.
TEST_P(SocketCalls, GiveWayToWatchers) {
  const SocketPair pair;
  Journal journal;
  fill(pair.b());
  const auto sending = sock_sendall(loop(), pair.b(), as_bytes("x"));
  const auto one = sock_recv(loop(), pair.b(), 100);
  loop().add_reader(pair.b(), journal.note("readable"));
  EXPECT_EQ(outcome(one), "cancelled");
  EXPECT_TRUE(loop().remove_reader(pair.b()));
  const auto two = sock_recv(loop(), pair.b(), 100);
  EXPECT_TRUE(loop().remove_reader(pair.b()));
  EXPECT_EQ(outcome(two), "cancelled");
  iterate(2);
  EXPECT_EQ(outcome(sending), "pending");
  run_until([&] { return receive(pair.a()), sending.done(); });
  EXPECT_EQ(journal.calls, Calls());
}

// K8, L31: a call whose socket was closed takes nothing from the next socket of that number.
TEST_P(SocketCalls, TakeNothingFromTheNextSocketOfTheNumber) {
  SocketPair old;
  const int number = old.b();
  const auto stale = sock_recv(loop(), number, 100);
  old.close_b();
  SocketPair next;
  next.move_b_to(number);
  const auto future = sock_recv(loop(), number, 100);
  next.send_to_b("new");
  EXPECT_EQ(text_of(run_until_done(future)), "new");
  EXPECT_EQ(outcome(stale), "cancelled");
}

// K8: cancelling ends also the search for a name, and an attempt to connect.
TEST_P(SocketCalls, StopConnectingWhenCancelled) {
  const Descriptor listener = listening_socket();
  const Descriptor client = stream_socket();
  const auto by_name = sock_connect(loop(), client.get(), "localhost", address_of(listener).port());
  EXPECT_TRUE(by_name.cancel());
  iterate(3);
  EXPECT_EQ(outcome(by_name), "cancelled");
  const auto by_address = sock_connect(loop(), client.get(), address_of(listener));
  EXPECT_TRUE(by_address.cancel());
  EXPECT_FALSE(loop().remove_writer(client.get()));
}

// K9: a transport's socket is refused.
TEST_P(SocketCalls, RefuseATransportsSocket) {
  SocketPair pair;
  Recorder recorder(loop(), ProtocolKind::stream, "transport");
  ConnectOptions options;
  options.sock = pair.a();
  run_until_done(create_connection(
      loop(), [&] { return std::make_shared<RecordingProtocol>(recorder); }, options));
  EXPECT_EQ(outcomes_of_all(pair.release_a()), all("WrongStateError"));
  recorder.transport.abort();
  run_until([&] { return recorder.lost(); });
}

// L25: in debug mode, sockets must be non-blocking.
TEST_P(SocketCalls, RefuseBlockingSocketsInDebugMode) {
  const Descriptor blocking(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  loop().set_debug(true);
  EXPECT_EQ(outcomes_of_all(blocking.get()), all("invalid_argument"));
}

// K6: a negative number is no socket.
TEST_P(SocketCalls, RefuseNegativeNumbers) {
  EXPECT_EQ(outcomes_of_all(-1), all("invalid_argument"));
}

// L7: a closed loop does nothing.
TEST_P(SocketCalls, RefuseAClosedLoop) {
  const SocketPair pair;
  loop().close();
  EXPECT_EQ(outcomes_of_all(pair.a()), all("WrongStateError"));
}

// L6: what waits when the loop is closed is dropped.
TEST_P(SocketCalls, EndWithTheLoop) {
  const SocketPair pair;
  const Descriptor client = stream_socket();
  const auto receiving = sock_recv(loop(), pair.b(), 100);
  const auto connecting = sock_connect(loop(), client.get(), "localhost", 9);
  loop().close();
  EXPECT_EQ(outcome(receiving), "pending");
  destroy_loop();
  EXPECT_EQ(outcome(connecting), "pending");
  EXPECT_TRUE(receiving.cancel());
  EXPECT_TRUE(connecting.cancel());
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SocketCalls,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

/// The others.
class NoSocketCalls : public SocketCalls {};

// K6: the system's sockets are no part of a simulation.
TEST_P(NoSocketCalls, AreUnsupported) {
  const SocketPair pair;
  for (const std::string& outcome : outcomes_of_all(pair.a())) {
    EXPECT_EQ(outcome, "a simulated loop has no use for sockets of the system");
  }
}

INSTANTIATE_TEST_SUITE_P(Behaviour, NoSocketCalls,
                         ::testing::ValuesIn(backends_with_descriptors(false)), backend_name);

}  // namespace
}  // namespace weir::test
