#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "descriptor_support.h"
#include "endpoint_support.h"
#include "loop_support.h"
#include "loop_test.h"

// What real kernels do at their edges: urgent data, passed and duplicated descriptors, forks.
namespace weir::test {
namespace {

class KernelEdges : public EveryLoop {};

struct Reader : Protocol {
  explicit Reader(std::string& text) : received(text) {}
  void data_received(std::span<const std::byte> data) override { received += as_text(data); }
  std::string& received;
};

/// Sends `text` and, with it, a descriptor.
void send_with_descriptor(int socket, std::string text) {
  iovec piece{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int passed = STDIN_FILENO;
  std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  ASSERT_GE(::sendmsg(socket, &message, MSG_NOSIGNAL), 0);
}

// S2: bytes behind an urgent mark arrive without waiting for more to come.
TEST_P(KernelEdges, UrgentDataDoesNotHoldUpWhatFollows) {
  std::string received;
  auto server = run_until_done(create_server(
      loop(), [&] { return std::make_shared<Reader>(received); }, "127.0.0.1", 0));
  const Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port_of(server));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  send(client.get(), "ab");
  ASSERT_EQ(::send(client.get(), "X", 1, MSG_OOB | MSG_NOSIGNAL), 1);
  send(client.get(), "cd");
  run_until([&] { return received == "abcd"; });
  server.abort_clients();
  server.close();
  run_until_done(server.wait_closed());
}

// S2: bytes behind a passed descriptor, which a stream ignores, arrive without waiting for more.
TEST_P(KernelEdges, PassedDescriptorsDoNotHoldUpWhatFollows) {
  SocketPair pair;
  std::string received;
  auto connection = run_until_done(create_connection(
      loop(), [&] { return std::make_shared<Reader>(received); },
      ConnectOptions{.sock = pair.release_a()}));
  send_with_descriptor(pair.b(), "a");
  pair.send_to_a("bcd");
  run_until([&] { return received == "abcd"; });
  connection.transport.abort();
  run_until([&] { return connection.transport.get_protocol() == nullptr; });
  iterate(2);
}

// L31: a descriptor closed before it was removed, while a duplicate is open, reaches nobody.
TEST_P(KernelEdges, ARemovedDescriptorWithADuplicateReachesNobody) {
  SocketPair pair;
  Journal journal;
  const int watched = pair.a();
  loop().add_reader(watched, journal.note("readable"));
  const Descriptor duplicate(dup(watched));
  pair.close_a();
  EXPECT_TRUE(loop().remove_reader(watched));
  send(pair.b(), "x");
  iterate(3);
  EXPECT_EQ(journal.calls, Calls());
}

// L27: what was collected for a reader does not run the one that replaces it in the same iteration.
TEST_P(KernelEdges, ANewReaderDoesNotRunOnAnOldEvent) {
  const SocketPair first;
  const SocketPair second;
  Journal journal;
  first.send_to_a("x");
  second.send_to_a("x");
  // Whichever runs first drains the other and replaces its reader.
  const auto take_over = [&](const SocketPair& own, const SocketPair& other) {
    return [&] {
      receive(own.a());
      receive(other.a());
      loop().add_reader(other.a(), journal.note("new"));
    };
  };
  loop().add_reader(first.a(), journal.note("old", take_over(first, second)));
  loop().add_reader(second.a(), journal.note("old", take_over(second, first)));
  iterate(3);
  EXPECT_EQ(journal.calls, calls("old"));
  loop().remove_reader(first.a());
  loop().remove_reader(second.a());
}

// L30, N10: a socket that is still watched may be handed to a transport, which takes it over.
TEST_P(KernelEdges, ATransportTakesOverAWatchedSocket) {
  SocketPair pair;
  Journal journal;
  loop().add_reader(pair.a(), journal.note("readable"));
  std::string received;
  auto connection = run_until_done(create_connection(
      loop(), [&] { return std::make_shared<Reader>(received); },
      ConnectOptions{.sock = pair.release_a()}));
  pair.send_to_a("hello");
  run_until([&] { return received == "hello"; });
  EXPECT_EQ(journal.calls, Calls());
  connection.transport.abort();
  run_until([&] { return connection.transport.get_protocol() == nullptr; });
  iterate(2);
}

// O6: a child made by fork() may use a loop of its own, the resolver included.
TEST_P(KernelEdges, TheResolverWorksInAForkedChild) {
  if (sanitized) GTEST_SKIP() << "the sanitizers do not follow a fork with threads";
  const auto here = Address::ipv4({127, 0, 0, 1}, 80);
  run_until_done(getnameinfo(loop(), here));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(30);
    EventLoop own;
    const bool found = !own.run_until_complete(getnameinfo(own, here)).host.empty();
    ::_exit(found ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// O6: a child made by fork() that destroys its copy of a loop leaves the parent's as it was.
TEST_P(KernelEdges, AForkedCopyOfALoopMayBeClosed) {
  if (sanitized) GTEST_SKIP() << "the sanitizers do not follow a fork with threads";
  std::string received;
  const SocketPair pair;
  const Descriptor watched(::dup(pair.a()));
  bool readable = false;
  loop().add_reader(watched.get(), [&] { readable = true; });
  auto connection = run_until_done(connect_accepted_socket(
      loop(), [&] { return std::make_shared<Reader>(received); }, ::dup(pair.b())));
  iterate(2);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    loop().close();
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  send(pair.a(), "to the parent");
  send(pair.b(), "to its reader");
  run_until([&] { return readable && received == "to the parent"; });
  loop().remove_reader(watched.get());
  connection.transport.abort();
  run_until([&] { return connection.transport.get_protocol() == nullptr; });
  iterate(2);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, KernelEdges,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
