#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <system_error>

#include "descriptor_support.h"
#include "endpoint_support.h"
#include "loop_support.h"
#include "loop_test.h"

// Programs that close the descriptor of a transport, which is not theirs to close. Until something is sent nothing need
// be noticed: epoll forgets such a socket, while a receive that a ring was asked for keeps it open and goes on, so the
// peer may see the end or not. What a send finds at the number then decides. The number stays the transport's, and is
// closed at its end, whatever the program has put there.
namespace weir::test {
namespace {

class ClosedDescriptors : public EveryEndpoint {
 protected:
  void TearDown() override {
    peer.reset();
    EveryEndpoint::TearDown();
  }

  /// A transport over one end of a pair, of which the other end is `peer`; what it is told is in `diary`.
  void open_transport() {
    SocketPair pair;
    peer = Descriptor(pair.release_b());
    number = pair.release_a();
    diary = &new_client("transport");
    transport = run_until_done(
                    create_connection(loop(), factory_of(*diary), ConnectOptions{.sock = number}))
                    .transport;
    send(peer.get(), "hello");
    run_until([&] { return diary->received == "hello"; });
  }
  /// Writes from inside the loop, where a backend may send later, or from outside, where it does at once.
  void write_somewhere(bool inside) {
    if (!inside) return transport.write("for the peer");
    loop().call_soon([&] { transport.write("for the peer"); });
  }

  Descriptor peer;
  int number = -1;
  Transport transport;
  Recorder* diary = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Behaviour, ClosedDescriptors,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

// S26, B2: a send to a descriptor that is closed ends the transport, once, and its peer sees the end.
TEST_P(ClosedDescriptors, EndTheTransportThatSends) {
  for (const bool inside : {true, false}) {
    open_transport();
    ::close(number);
    iterate(2);
    write_somewhere(inside);
    run_until([&] { return diary->lost(); });
    EXPECT_EQ(diary->reason.code(), std::errc::bad_file_descriptor);
    iterate(2);
    EXPECT_EQ(diary->count("connection_lost"), 1U);
    char byte = 0;
    EXPECT_EQ(::recv(peer.get(), &byte, 1, MSG_DONTWAIT), 0);
  }
}

// B2: without a send close() and abort() end it as ever.
TEST_P(ClosedDescriptors, DoNotKeepATransportFromEnding) {
  for (const bool aborted : {true, false}) {
    open_transport();
    ::close(number);
    iterate(2);
    aborted ? transport.abort() : transport.close();
    run_until([&] { return diary->lost(); });
    EXPECT_EQ(diary->calls, calls("connection_made", "data_received:hello", "connection_lost"));
    iterate(2);
  }
}

// S26: a file that got the number is not written to; it is no socket, which ends the transport.
TEST_P(ClosedDescriptors, AreNotWrittenToAsAnotherFile) {
  for (const bool inside : {true, false}) {
    open_transport();
    const Descriptor file(::memfd_create("other", MFD_CLOEXEC));
    ASSERT_EQ(::dup3(file.get(), number, O_CLOEXEC), number);
    iterate(2);
    write_somewhere(inside);
    run_until([&] { return diary->lost(); });
    EXPECT_EQ(diary->reason.code(), std::errc::not_a_socket);
    iterate(2);
    EXPECT_EQ(diary->count("connection_lost"), 1U);
    struct stat status {};
    ASSERT_EQ(::fstat(file.get(), &status), 0);
    EXPECT_EQ(status.st_size, 0);
    EXPECT_FALSE(is_open(number));
  }
}

// L31: nor does a connection that the kernel gave the number to: the loop knows then whose it is, and what is left of
// the old transport neither sends there nor closes it.
TEST_P(ClosedDescriptors, AreNotTakenFromANewConnection) {
  const Server server = listen();
  const Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  open_transport();
  {
    std::deque<Descriptor> lower;  // so that the number is the next one to be given
    do lower.emplace_back(::dup(number));
    while (lower.back().get() < number);
    ::close(number);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_of(server));
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    run_until([&] { return !accepted.empty() && accepted.back().made(); });
  }
  Recorder& newer = accepted.back();
  ASSERT_EQ(newer.transport.get_extra_info<SocketView>("socket")->descriptor, number);
  transport.write("for the peer");
  iterate(2);
  EXPECT_EQ(receive(client.get()), "");
  transport.abort();
  run_until([&] { return diary->lost(); });
  iterate(2);
  EXPECT_EQ(diary->count("connection_lost"), 1U);
  ASSERT_TRUE(is_open(number));
  send(client.get(), "hello");
  run_until([&] { return newer.received == "hello"; });
  newer.transport.abort();
  run_until([&] { return newer.lost(); });
  iterate(2);
}

// L31: nor does a server that is left without its socket.
TEST_P(ClosedDescriptors, OfAServerAreNotTakenFromANewConnection) {
  const Server server = listen();
  const Server closed = listen();
  const int socket = closed.sockets().at(0).descriptor;
  std::deque<Descriptor> lower;
  do lower.emplace_back(::dup(socket));
  while (lower.back().get() < socket);
  ::close(socket);
  Recorder& client = new_client();
  auto connecting = start_connecting(client, "127.0.0.1", port_of(server));
  run_until_done(connecting);
  ASSERT_EQ(client.transport.get_extra_info<SocketView>("socket")->descriptor, socket);
  closed.close();
  iterate(2);
  EXPECT_TRUE(is_open(socket));
  client.transport.write("hello");
  run_until([&] { return !accepted.empty() && accepted.back().received == "hello"; });
}

// L31: nor does an attempt to connect that waits for its answer. It fails.
TEST_P(ClosedDescriptors, OfAnAttemptAreNotTakenFromANewConnection) {
  const Descriptor full(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(full.get(), 0), 0);  // for one connection
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(full.get(), reinterpret_cast<sockaddr*>(&address), &length);
  const Descriptor first(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(first.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const Server server = listen();

  number = ::dup(first.get());
  ::close(number);
  const auto unanswered =
      start_connecting(new_client("unanswered"), "127.0.0.1", ntohs(address.sin_port));
  run_until([&] { return is_open(number); });
  ::close(number);
  Recorder& client = new_client();
  run_until_done(start_connecting(client, "127.0.0.1", port_of(server)));
  ASSERT_EQ(client.transport.get_extra_info<SocketView>("socket")->descriptor, number);

  EXPECT_EQ(outcome_of(unanswered), "Bad file descriptor");
  iterate(2);
  ASSERT_TRUE(is_open(number));
  client.transport.write("hello");
  run_until([&] { return !accepted.empty() && accepted.back().received == "hello"; });
}

// L30: nor does a second transport get the number while the first one has it.
TEST_P(ClosedDescriptors, AreNotForASecondTransport) {
  open_transport();
  ::close(number);
  SocketPair pair;
  pair.move_b_to(number);
  auto second =
      create_connection(loop(), factory_of(new_client("second")), ConnectOptions{.sock = pair.b()});
  EXPECT_EQ(outcome_of(second), "WrongStateError");
  pair.send_to_b("x");
  EXPECT_EQ(receive(pair.b()), "x");
  transport.abort();
  run_until([&] { return diary->lost(); });
  iterate(2);
  EXPECT_FALSE(is_open(number));
  static_cast<void>(pair.release_b());
}

}  // namespace
}  // namespace weir::test
