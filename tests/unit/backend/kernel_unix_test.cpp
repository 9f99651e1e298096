#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <system_error>
#include <vector>

#include "kernel_fixture.h"

namespace weir::test_backend {
namespace {

using detail::LocalSocket;

Address path(std::string name) { return Address::unix_socket(std::move(name)); }

/// One message with all descriptors that came with it.
struct Message {
  std::string text;
  std::vector<Fd> descriptors;
};

Message receive_message(int socket) {
  std::string text(1 << 20, '\0');
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * detail::max_passed_descriptors)>
      control{};
  iovec piece{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  Message message{text.substr(0, count > 0 ? static_cast<std::size_t>(count) : 0), {}};
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    for (std::size_t at = CMSG_LEN(0); at < part->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, reinterpret_cast<char*>(part) + at, sizeof number);
      message.descriptors.emplace_back(number);
    }
  }
  return message;
}

void send_with(int socket, std::string text, const std::vector<int>& descriptors) {
  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  iovec piece{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size() * sizeof(int));
  ASSERT_EQ(::sendmsg(socket, &header, MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

/// The same open file.
bool same_file(int a, int b) {
  struct stat left {};
  struct stat right {};
  return ::fstat(a, &left) == 0 && ::fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
         left.st_dev == right.st_dev;
}

/// Nobody has the writing end of the pipe that `reader` reads.
bool all_writers_closed(int reader) {
  char byte = 0;
  ::fcntl(reader, F_SETFL, O_NONBLOCK);
  return ::read(reader, &byte, 1) == 0;
}

/// Queues pieces of bytes, some of which bring descriptors along, as a transport does.
class Passer final : public StreamEvents {
 public:
  explicit Passer(std::unique_ptr<StreamChannel> taken) : channel(std::move(taken)) {
    channel->attach(*this);
  }

  std::optional<std::span<std::byte>> receive_buffer() noexcept override { return std::nullopt; }
  void on_received(ConstBytes) noexcept override {}
  void on_eof() noexcept override {}
  void on_failed(std::error_code) noexcept override { failed = true; }
  void on_closed() noexcept override {}

  std::size_t unsent(std::span<ConstBytes> pieces) noexcept override {
    if (queue.empty()) return 0;
    if (!queue.front().descriptors.empty()) {
      channel->local_socket()->send_along(std::move(queue.front().descriptors));
      queue.front().descriptors.clear();
    }
    pieces[0] = bytes_of(queue.front().text);
    return 1;
  }
  void on_sent(std::size_t count) noexcept override {
    queue.front().text.erase(0, count);
    if (queue.front().text.empty()) queue.pop_front();
  }

  std::unique_ptr<StreamChannel> channel;
  std::deque<Message> queue;
  bool failed = false;
};

class KernelUnix : public KernelBackendTest {
 protected:
  std::unique_ptr<StreamChannel> adopt(Fd socket) {
    auto channel = backend->adopt_stream(socket.release());
    EXPECT_TRUE(channel);
    return std::move(channel.value());
  }
  std::unique_ptr<ListenChannel> bind(const Address& address) {
    auto listener = backend->bind(address, {});
    EXPECT_TRUE(listener) << listener.error().message();
    return listener ? std::move(listener.value()) : nullptr;
  }

  const TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Kernel, KernelUnix, testing::ValuesIn(kernel_backends()),
                         kernel_backend_name);

// --- Passing descriptors ----------------------------------------------------------------------------

TEST_P(KernelUnix, PassesDescriptorsWithTheFirstByte) {
  Pair pair = make_socket_pair();
  const Pair pipe = make_pipe();
  const auto channel = adopt(std::move(pair.a));
  LocalSocket* local = channel->local_socket();
  ASSERT_NE(local, nullptr);
  const std::array<int, 2> passed{pipe.a.get(), pipe.b.get()};
  local->send_along(local->duplicates(passed));
  for (const std::string_view text : {"with", "without"}) {
    const ConstBytes piece = bytes_of(text);
    EXPECT_EQ(channel->try_send({&piece, 1}).sent, text.size());
    const Message message = receive_message(pair.b.get());
    EXPECT_EQ(message.text, text);
    ASSERT_EQ(message.descriptors.size(), text == "with" ? 2U : 0U);
    for (std::size_t i = 0; i < message.descriptors.size(); ++i) {
      EXPECT_TRUE(same_file(message.descriptors[i].get(), passed[i]));
    }
  }
}

TEST_P(KernelUnix, RefusesToPassWhatIsNotOpen) {
  Pair pair = make_socket_pair();
  const auto channel = adopt(std::move(pair.a));
  const std::array<int, 2> wrong{pair.b.get(), -1};
  EXPECT_THROW(static_cast<void>(channel->local_socket()->duplicates(wrong)), std::system_error);
}

TEST_P(KernelUnix, KeepsDescriptorsWhileThereIsNoRoom) {
  Pair pair = make_socket_pair();
  const auto channel = adopt(std::move(pair.a));
  const std::string filling(1 << 20, 'x');
  const ConstBytes piece = bytes_of(filling);
  while (channel->try_send({&piece, 1}).sent > 0) {
  }
  const int passed = pair.b.get();
  channel->local_socket()->send_along(channel->local_socket()->duplicates({&passed, 1}));
  EXPECT_EQ(channel->try_send({&piece, 1}).sent, 0U);
  while (!receive_message(pair.b.get()).text.empty()) {
  }
  const ConstBytes late = bytes_of("late");
  EXPECT_EQ(channel->try_send({&late, 1}).sent, 4U);
  EXPECT_EQ(receive_message(pair.b.get()).descriptors.size(), 1U);
}

// They leave with their byte, and once, however often the rest is sent.
TEST_P(KernelUnix, KeepsDescriptorsUntilTheirByteLeaves) {
  Pair pair = make_socket_pair();
  std::vector<Pair> pipes;
  Passer passer(adopt(std::move(pair.a)));
  const std::string filling(1 << 20, 'x');
  const ConstBytes piece = bytes_of(filling);
  std::size_t expected = 0;
  while (const std::size_t sent = passer.channel->try_send({&piece, 1}).sent) expected += sent;

  const std::string long_text(1 << 20, 'y');
  for (int i = 0; i < 3; ++i) {
    pipes.push_back(make_pipe());
    const int number = pipes.back().b.get();
    passer.queue.push_back({long_text, passer.channel->local_socket()->duplicates({&number, 1})});
    expected += long_text.size();
  }
  passer.channel->start_sending();
  settle();

  std::size_t received = 0;
  std::vector<std::size_t> positions;
  std::vector<Fd> descriptors;
  run_until([&] {
    for (Message message = receive_message(pair.b.get()); !message.text.empty();
         message = receive_message(pair.b.get())) {
      if (!message.descriptors.empty()) {
        const auto own = message.text.find('y');
        positions.push_back(received + (own == std::string::npos ? 0 : own));
      }
      for (Fd& descriptor : message.descriptors) descriptors.push_back(std::move(descriptor));
      received += message.text.size();
    }
    return received == expected;
  });
  ASSERT_EQ(descriptors.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(same_file(descriptors[i].get(), pipes[i].b.get()));
    // Within the text it goes along with: a receive may begin with what came before.
    EXPECT_LE(positions[i], expected - (3 - i) * long_text.size());
    EXPECT_GT(positions[i] + long_text.size(), expected - (3 - i) * long_text.size());
  }
  EXPECT_FALSE(passer.failed);
  // Nothing of ours keeps them open.
  for (std::size_t i = 0; i < 3; ++i) {
    descriptors[i].reset();
    pipes[i].b.reset();
    EXPECT_TRUE(all_writers_closed(pipes[i].a.get()));
  }
}

// --- Receiving descriptors --------------------------------------------------------------------------

TEST_P(KernelUnix, ReceivesDescriptorsWithTheirBytes) {
  Pair pair = make_socket_pair();
  const Pair pipe = make_pipe();
  User user = stream("user", adopt(std::move(pair.a)));
  std::vector<Fd> taken;
  user.in_received = [&] {
    for (Fd& descriptor : user.channel->local_socket()->take_received()) {
      taken.push_back(std::move(descriptor));
    }
  };
  user.channel->local_socket()->receive_descriptors(true);
  user.channel->start_receiving();
  send_with(pair.b.get(), "first", {pipe.a.get(), pipe.b.get()});
  send_with(pair.b.get(), "second", {pipe.b.get()});
  write_all(pair.b.get(), "third");
  settle();
  EXPECT_EQ(user.received, "firstsecondthird");
  ASSERT_EQ(taken.size(), 3U);
  EXPECT_TRUE(same_file(taken[0].get(), pipe.a.get()));
  EXPECT_NE(::fcntl(taken[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(user.channel->local_socket()->take_received().empty());
}

// What is not taken is closed when on_received() returns; what is not wanted, at once.
TEST_P(KernelUnix, ClosesDescriptorsNobodyTakes) {
  for (const bool enabled : {false, true}) {
    Pair pair = make_socket_pair();
    Pair pipe = make_pipe();
    User user = stream("user", adopt(std::move(pair.a)));
    user.channel->local_socket()->receive_descriptors(enabled);
    user.channel->start_receiving();
    send_with(pair.b.get(), "a", {pipe.b.get()});
    write_all(pair.b.get(), "bcd");
    pipe.b.reset();
    EXPECT_FALSE(all_writers_closed(pipe.a.get()));
    settle();
    EXPECT_EQ(user.received, "abcd");
    EXPECT_TRUE(all_writers_closed(pipe.a.get()));
  }
}

// A receive stops at passed descriptors: what follows them must not wait for an edge. [S2]
TEST_P(KernelUnix, PassedDescriptorsDoNotHoldUpWhatAnAcceptedSocketReceives) {
  Accepting accepting;
  const Address address = path(directory_.file("socket"));
  const auto listener = bind(address);
  ASSERT_FALSE(listener->start_accepting(accepting, 1));
  Connecting connecting;
  const auto start = backend->connect(address, {}, connecting);
  run_until([&] { return connecting.done() && !accepting.channels.empty(); });
  User server = stream("server", std::move(accepting.channels.front()));
  User client = stream("client", std::move(connecting.channel));
  ASSERT_NE(client.channel->local_socket(), nullptr);
  const int passed = STDIN_FILENO;
  LocalSocket* local = client.channel->local_socket();
  local->send_along(local->duplicates({&passed, 1}));
  client.send("a");
  client.send("bcd");
  server.channel->start_receiving();
  settle();
  EXPECT_EQ(server.received, "abcd");
}

// --- Receiving in every state: nothing is missed, and nothing spins ---------------------------------

TEST_P(KernelUnix, APausedSocketHearsNothing) {
  Pair pair = make_socket_pair();
  User user = stream("user", adopt(std::move(pair.a)));
  user.channel->start_receiving();
  for (int round = 0; round < 3; ++round) {
    user.channel->stop_receiving();
    write_all(pair.b.get(), "a");
    settle();
    write_all(pair.b.get(), "b");
    settle();
    EXPECT_EQ(events(), Trace{});
    user.channel->start_receiving();
    settle();
    EXPECT_EQ(user.received, "ab");
    write_all(pair.b.get(), "c");
    settle();
    EXPECT_EQ(user.received, "abc");
    EXPECT_EQ(events().back(), "user: received c");
    user.received.clear();
  }
  user.channel->stop_receiving();
  write_all(pair.b.get(), "last");
  pair.b.reset();
  settle();
  EXPECT_EQ(events(), Trace{});
  user.channel->start_receiving();
  settle();
  EXPECT_EQ(events(), (Trace{"user: received last", "user: eof"}));
}

TEST_P(KernelUnix, SendsAfterTheEndOfWhatItReceives) {
  Pair pair = make_socket_pair();
  User user = stream("user", adopt(std::move(pair.a)));
  user.channel->start_receiving();
  write_all(pair.b.get(), "request");
  ASSERT_EQ(::shutdown(pair.b.get(), SHUT_WR), 0);
  settle();
  EXPECT_EQ(events(), (Trace{"user: received request", "user: eof"}));
  const std::string answer(1 << 20, 'x');
  user.send(answer);
  settle();
  EXPECT_FALSE(user.queue.empty());
  std::size_t received = 0;
  run_until([&] {
    received += read_some(pair.b.get()).size();
    return received == answer.size();
  });
  EXPECT_EQ(user.queue, "");
  settle();
}

TEST_P(KernelUnix, ReceivesWhileItCannotSend) {
  Pair pair = make_socket_pair();
  const Pair pipe = make_pipe();
  User user = stream("user", adopt(std::move(pair.a)));
  user.channel->start_receiving();
  user.send(std::string(1 << 20, 'x'));
  settle();
  ASSERT_FALSE(user.queue.empty());
  for (const std::string text : {"one", "two"}) {
    send_with(pair.b.get(), text, {pipe.a.get()});
    write_all(pair.b.get(), text);
    settle();
  }
  EXPECT_EQ(user.received, "oneonetwotwo");
  user.channel->stop_receiving();
  write_all(pair.b.get(), "three");
  settle();
  user.channel->start_receiving();
  settle();
  EXPECT_EQ(user.received, "oneonetwotwothree");
}

TEST_P(KernelUnix, UrgentDataDoesNotHoldUpWhatFollows) {
  Pair pair = make_socket_pair();
  User user = stream("user", adopt(std::move(pair.a)));
  user.channel->start_receiving();
  write_all(pair.b.get(), "ab");
  if (::send(pair.b.get(), "X", 1, MSG_OOB) != 1) GTEST_SKIP() << "no urgent data";
  write_all(pair.b.get(), "cd");
  settle();
  EXPECT_EQ(user.received, "abcd");
  ASSERT_EQ(::send(pair.b.get(), "Y", 1, MSG_OOB), 1);
  settle();
  write_all(pair.b.get(), "ef");
  settle();
  EXPECT_EQ(user.received, "abcdef");
}

TEST_P(KernelUnix, KnowsWhoThePeerIs) {
  Pair pair = make_socket_pair();
  const auto channel = adopt(std::move(pair.a));
  const PeerCredentials self{
      .process_id = ::getpid(), .user_id = ::getuid(), .group_id = ::getgid()};
  EXPECT_EQ(channel->local_socket()->peer_credentials(), self);
}

// --- Connecting -------------------------------------------------------------------------------------

std::error_code connect_error(Backend& backend, const Address& address) {
  Connecting events;
  const ConnectStart start = backend.connect(address, {}, events);
  EXPECT_EQ(start.step, ConnectStep::connect);
  EXPECT_EQ(start.attempt == nullptr, static_cast<bool>(start.error));
  return start.error;
}

TEST_P(KernelUnix, AFullBacklogRefusesAtOnce) {
  Accepting accepting;
  const Address address = path(directory_.file("socket"));
  const auto listener = bind(address);
  ASSERT_FALSE(listener->start_accepting(accepting, 0));
  std::deque<Connecting> waiting;
  std::vector<std::unique_ptr<ConnectAttempt>> attempts;
  std::error_code error;
  while (!error && attempts.size() < 100) {
    ConnectStart start = backend->connect(address, {}, waiting.emplace_back());
    error = start.error;
    attempts.push_back(std::move(start.attempt));
  }
  EXPECT_EQ(error, std::errc::resource_unavailable_try_again);
  EXPECT_EQ(attempts.back(), nullptr);
}

TEST_P(KernelUnix, SaysWhatIsWrongWithAPath) {
  const std::string base = directory_.file("x");
  const std::string too_long = base + std::string(108 - base.size(), 'x');
  const std::string with_nul = base + std::string(1, '\0') + "y";
  EXPECT_EQ(connect_error(*backend, path(too_long)), std::errc::filename_too_long);
  EXPECT_EQ(backend->bind(path(too_long), {}).error(), std::errc::filename_too_long);
  EXPECT_EQ(connect_error(*backend, path(with_nul)), std::errc::invalid_argument);
  EXPECT_EQ(backend->bind(path(with_nul), {}).error(), std::errc::invalid_argument);
  EXPECT_EQ(connect_error(*backend, path(base)), std::errc::no_such_file_or_directory);
  EXPECT_TRUE(backend->bind(path(too_long.substr(0, 107)), {}));
}

// --- The path of a server ---------------------------------------------------------------------------

// V14: a stale socket file makes room, any other file stays.
TEST_P(KernelUnix, RemovesAStaleSocketFileOnly) {
  const std::string name = directory_.file("socket");
  bind(path(name)).reset();
  ASSERT_TRUE(std::filesystem::is_socket(name));
  EXPECT_NE(bind(path(name)), nullptr);

  const std::string other = directory_.file("file");
  Fd(::open(other.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
  EXPECT_EQ(backend->bind(path(other), {}).error(), std::errc::address_in_use);
  EXPECT_TRUE(std::filesystem::is_regular_file(other));

  const std::string link = directory_.file("link");
  std::filesystem::create_symlink(name, link);
  EXPECT_EQ(backend->bind(path(link), {}).error(), std::errc::address_in_use);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
}

// V15: the path is removed only if it still leads to the socket.
TEST_P(KernelUnix, RemovesItsOwnPathOnly) {
  const std::string name = directory_.file("socket");
  auto listener = bind(path(name));
  EXPECT_FALSE(listener->remove_path());
  EXPECT_FALSE(std::filesystem::exists(name));
  EXPECT_FALSE(listener->remove_path());  // gone already

  listener = bind(path(name));
  const auto replacement = bind(path(name));
  EXPECT_FALSE(listener->remove_path());
  EXPECT_TRUE(std::filesystem::exists(name));

  std::filesystem::remove(name);
  Fd(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
  EXPECT_FALSE(replacement->remove_path());
  EXPECT_TRUE(std::filesystem::exists(name));
}

TEST_P(KernelUnix, RemovesThePathOfAnAdoptedSocket) {
  const std::string name = directory_.file("socket");
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(name, address.sun_path);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  auto listener = backend->adopt_listener(socket.release());
  ASSERT_TRUE(listener);
  EXPECT_FALSE(listener.value()->remove_path());
  EXPECT_FALSE(std::filesystem::exists(name));
}

TEST_P(KernelUnix, AnAbstractNameIsNoPath) {
  const auto listener = bind(path(std::string(1, '\0') + directory_.file("abstract")));
  EXPECT_FALSE(listener->remove_path());
  EXPECT_EQ(listener->local_address().path().front(), '\0');
  auto internet = backend->bind(v4(0), {});
  ASSERT_TRUE(internet);
  EXPECT_FALSE(internet.value()->remove_path());
}

}  // namespace
}  // namespace weir::test_backend
