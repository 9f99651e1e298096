#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <string>
#include <thread>

#include "kernel_fixture.h"

// Streams where kernels differ most: what arrives before it is wanted, in more amounts than there is room for, and what
// is sent together with what others send.
namespace weir::test_backend {
namespace {

class KernelStreams : public KernelBackendTest {
 protected:
  User adopt(std::string name, Fd socket) {
    auto channel = backend->adopt_stream(socket.release());
    EXPECT_TRUE(channel);
    return stream(std::move(name), std::move(channel.value()));
  }
  bool is_epoll() const { return GetParam() == "epoll"; }
  /// Into users and peers, by their number.
  void adopt_many(std::size_t many) {
    for (std::size_t i = 0; i < many; ++i) {
      Pair pair = make_socket_pair();
      auto channel = backend->adopt_stream(pair.a.release());
      ASSERT_TRUE(channel);
      users.emplace_back(std::to_string(i), trace, std::move(channel.value()));
      peers.push_back(std::move(pair.b));
    }
  }

  std::deque<User> users;
  std::deque<Fd> peers;
};

INSTANTIATE_TEST_SUITE_P(Kernel, KernelStreams, testing::ValuesIn(kernel_backends()),
                         kernel_backend_name);

std::string letters(std::size_t size, std::size_t first) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (first + i * i) % 23);
  return text;
}

TEST_P(KernelStreams, ReceivesOneAfterTheOther) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    const std::string text = letters(1 + static_cast<std::size_t>(i * i), 0);
    write_all(pair.b.get(), text);
    sent += text;
    run_until([&] { return user.received.size() == sent.size(); });
  }
  EXPECT_EQ(user.received, sent);
  pair.b.reset();
  run_until([&] { return !trace.empty() && trace.back() == "user: eof"; });
}

// More at once than a ring has buffers, or completions, for.
TEST_P(KernelStreams, ReceivesFromManyAtOnce) {
  constexpr std::size_t many = 150;
  constexpr std::size_t size = 20'000;
  adopt_many(many);
  for (User& user : users) user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < many; ++i) write_all(peers[i].get(), letters(size, i));
    for (std::size_t i = 0; i < many; ++i) {
      run_until([&] { return users[i].received.size() >= size; });
      EXPECT_EQ(users[i].received, letters(size, i)) << i;
      users[i].received.clear();
    }
  }
}

// S8: what the kernel received before the pause is held, and comes first after it.
TEST_P(KernelStreams, HoldsWhatArrivedBeforeAPause) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  write_all(pair.b.get(), "before ");
  backend->wait(backend->now() + std::chrono::milliseconds(100));
  user.channel->stop_receiving();
  backend->dispatch();
  write_all(pair.b.get(), "after");
  settle();
  EXPECT_EQ(events(), Trace{});
  user.channel->start_receiving();
  run_until([&] { return user.received == "before after"; });
}

TEST_P(KernelStreams, HoldsWhatDoesNotFit) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  const std::string text = letters(1000, 0);
  write_all(pair.b.get(), text);
  backend->wait(backend->now() + std::chrono::milliseconds(100));
  user.own_buffer.resize(300);  // as a new protocol may have
  run_until([&] { return user.received.size() == text.size(); });
  EXPECT_EQ(user.received, text);
  EXPECT_EQ(user.receive_events, 4);
}

// C5: bytes stay during their callback, though that closes the stream.
TEST_P(KernelStreams, MayCloseWhenItReceives) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  std::string seen;
  user.in_received = [&] {
    user.channel->close();
    seen = text_of(user.last);
  };
  write_all(pair.b.get(), "last words");
  run_until([&] { return !trace.empty() && trace.back() == "user: closed"; });
  EXPECT_EQ(seen, "last words");
}

// Nobody waits after that.
TEST_P(KernelStreams, IsClosedForThePeerAfterAFlush) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  user.channel->close();
  backend->flush();
  char byte = 0;
  EXPECT_EQ(::recv(pair.b.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_P(KernelStreams, IsClosedForThePeerWithItsBackend) {
  Pair pair = make_socket_pair();
  {
    const User user = adopt("user", std::move(pair.a));
    user.channel->start_receiving();
    turn(std::chrono::milliseconds(0));
    write_all(pair.b.get(), "for nobody");
    backend->wait(backend->now() + std::chrono::milliseconds(100));
  }
  backend.reset();
  char byte = 0;
  // What it says depends on who had the bytes.
  EXPECT_TRUE(::recv(pair.b.get(), &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
}

// --- Sending together -------------------------------------------------------------------------------

TEST_P(KernelStreams, SendsTogether) {
  adopt_many(20);
  turn(std::chrono::milliseconds(0));
  for (std::size_t i = 0; i < 20; ++i) {
    users[i].send_together(letters(100, i));
    EXPECT_EQ(users[i].channel->waits_for_others(), !is_epoll());
  }
  settle();
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(users[i].queue, "");
    EXPECT_FALSE(users[i].channel->waits_for_others());
    EXPECT_EQ(read_some(peers[i].get()), letters(100, i));
  }
}

TEST_P(KernelStreams, SendsTheRestOfWhatWasSentTogether) {
  Pair pair = make_socket_pair();
  const int size = 1;  // the least there is
  ::setsockopt(pair.a.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  User user = adopt("user", std::move(pair.a));
  turn(std::chrono::milliseconds(0));
  std::string sent;
  for (std::size_t i = 0; user.queue.empty() && i < 1000; ++i) {
    const std::string text = letters(4000, i);
    user.send_together(text);
    sent += text;
    settle();
  }
  EXPECT_FALSE(user.queue.empty());
  std::string received;
  run_until([&] {
    received += read_some(pair.b.get());
    return received.size() == sent.size();
  });
  EXPECT_EQ(received, sent);
}

TEST_P(KernelStreams, TellsWhatIsWrongWithWhatWasSentTogether) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  turn(std::chrono::milliseconds(0));
  pair.b.reset();
  user.send_together("for nobody");
  settle();
  EXPECT_EQ(events(), Trace{is_epoll() ? "user: send: broken pipe" : "user: failed broken pipe"});
}

TEST_P(KernelStreams, DoesNotSendTogetherWhenNobodyWaits) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  turn(std::chrono::milliseconds(0));
  user.send_together("one");
  backend->flush();
  EXPECT_EQ(read_some(pair.b.get()), "one");
  settle();
  backend->flush();
  user.send_together("two");
  EXPECT_EQ(read_some(pair.b.get()), "two");
}

// --- Threads ----------------------------------------------------------------------------------------

TEST_P(KernelStreams, GoesOnOnAnotherThread) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  const auto exchange = [&](const std::string& text) {
    write_all(pair.b.get(), text);
    run_until([&] { return user.received == text; });
    user.received.clear();
    user.send_together(text);
    settle();
    EXPECT_EQ(read_some(pair.b.get()), text);
    backend->flush();
  };
  exchange("here");
  std::thread([&] { exchange("there"); }).join();
  exchange("here again");
  write_all(pair.b.get(), "while nobody was there");
  std::thread([&] { run_until([&] { return user.received == "while nobody was there"; }); }).join();
}

// What one thread asks for, more than there is room to note, another one does.
TEST_P(KernelStreams, IsSetUpByOneThreadForAnother) {
  constexpr std::size_t many = 30;
  adopt_many(many);
  turn(std::chrono::milliseconds(0));
  backend->flush();
  std::thread([&] {
    for (User& user : users) user.channel->start_receiving();
    for (std::size_t i = 0; i < many; i += 2) users[i].channel->stop_receiving();
    for (std::size_t i = 0; i < many; i += 3) users[i].channel->close();
  }).join();
  for (std::size_t i = 0; i < many; ++i) {
    if (i % 3 == 0) continue;
    write_all(peers[i].get(), "hello");
    if (i % 2 == 0) continue;
    run_until([&] { return users[i].received == "hello"; });
  }
  for (std::size_t i = 0; i < many; ++i) {
    EXPECT_EQ(users[i].received, i % 2 != 0 && i % 3 != 0 ? "hello" : "") << i;
  }
}

// A host sleeps on one descriptor, asked for in the middle of whatever goes on, and is told of all.
TEST_P(KernelStreams, TellsAHostOfAll) {
  adopt_many(3);
  std::string expected;
  const auto receive = [&](const std::string& text) {
    expected += text;
    for (const Fd& peer : peers) write_all(peer.get(), text);
    for (User& user : users) {
      while (user.received != expected) {
        ASSERT_TRUE(backend->has_pending_events() ||
                    is_readable(backend->poll_descriptor(), std::chrono::seconds(20)));
        turn(std::chrono::milliseconds(0));
        backend->flush();
      }
    }
  };
  for (User& user : users) user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  for (const Fd& peer : peers) write_all(peer.get(), "one, ");
  expected = "one, ";
  turn();
  users[0].send_together("answer");
  const int descriptor = backend->poll_descriptor();  // while it runs
  backend->flush();
  EXPECT_EQ(read_some(peers[0].get()), "answer");
  receive("two, ");
  receive("three, ");
  std::thread([&] { receive("four, "); }).join();
  receive("five");
  EXPECT_EQ(backend->poll_descriptor(), descriptor);
}

// So is one who asks for it outside of a run, on a thread of his own.
TEST_P(KernelStreams, TellsAHostOnAnotherThread) {
  adopt_many(1);
  User& user = users.front();
  user.channel->start_receiving();
  turn(std::chrono::milliseconds(0));
  backend->flush();
  write_all(peers.front().get(), "hello");
  std::thread([&] {
    while (user.received != "hello") {
      ASSERT_TRUE(backend->has_pending_events() ||
                  is_readable(backend->poll_descriptor(), std::chrono::seconds(20)));
      turn(std::chrono::milliseconds(0));
    }
  }).join();
}

// What was received, and not told before the loop went to another thread, is not overwritten there.
TEST_P(KernelStreams, KeepsWhatItHoldsOnAnotherThread) {
  adopt_many(3);
  for (User& user : users) {
    user.channel->start_receiving();
    user.in_received = [&] { backend->interrupt_dispatch(); };
  }
  turn(std::chrono::milliseconds(0));
  for (std::size_t i = 0; i < users.size(); ++i) write_all(peers[i].get(), letters(3000, i));
  run_until([&] { return !users[0].received.empty(); });
  backend->flush();
  std::thread([&] {
    run_until([&] { return !users[1].received.empty(); });
    EXPECT_EQ(users[2].received, "");
    write_all(peers[1].get(), letters(12'000, 1));
    turn();
    run_until([&] { return !users[2].received.empty(); });
    EXPECT_EQ(users[2].received, letters(3000, 2));
    run_until([&] { return users[1].received.size() == 15'000; });
  }).join();
}

// A ring belongs to one thread; if the other one cannot have one, epoll does.
TEST_P(KernelStreams, GoesOnWithoutARing) {
  Pair pair = make_socket_pair();
  User user = adopt("user", std::move(pair.a));
  user.channel->start_receiving();
  write_all(pair.b.get(), "with");
  run_until([&] { return user.received == "with"; });
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const Fd next(::dup(0));
  const rlimit none{.rlim_cur = static_cast<rlim_t>(next.get()), .rlim_max = before.rlim_max};
  std::thread other([&] {
    ::setrlimit(RLIMIT_NOFILE, &none);
    write_all(pair.b.get(), "out");
    run_until([&] { return user.received == "without"; });
    user.send_together("answer");
    settle();
    ::setrlimit(RLIMIT_NOFILE, &before);
  });
  other.join();
  EXPECT_EQ(read_some(pair.b.get()), "answer");
}

}  // namespace
}  // namespace weir::test_backend
