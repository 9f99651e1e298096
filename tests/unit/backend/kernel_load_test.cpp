#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "kernel_fixture.h"
#include "seeded_random.h"

// Streams under load: more of everything than there is room for, peers that do not read, and users who change their
// mind at any moment. WEIR_TEST_SEED repeats a run.
namespace weir::test_backend {
namespace {

/// A stream, its peer, and what has gone in each direction.
struct Ends {
  Ends(std::string name, Trace& trace, std::unique_ptr<StreamChannel> channel, Fd other)
      : user(std::move(name), trace, std::move(channel)), peer(std::move(other)) {}

  /// As a transport writes: behind what is queued, else with what others send.
  void write(std::string_view text) {
    written += text;
    if (user.queue.empty()) {
      user.send_together(text);
    } else {
      user.queue += text;
    }
  }
  /// At the peer: what is there, but not more than `most`.
  void read(std::size_t most = 64 * 1024) {
    std::array<char, 64 * 1024> buffer;  // NOLINT(*-member-init): filled as far as it is used
    const ssize_t size =
        ::recv(peer.get(), buffer.data(), std::min(most, buffer.size()), MSG_DONTWAIT);
    if (size > 0) arrived.append(buffer.data(), static_cast<std::size_t>(size));
  }

  User user;
  Fd peer;
  std::string written;  ///< by the user
  std::string arrived;  ///< of that, at the peer
  std::string sent;     ///< by the peer
  bool receiving = false;
  bool closed = false;
};

class KernelLoad : public KernelBackendTest {
 protected:
  Ends& open() {
    Pair pair = make_socket_pair();
    auto channel = backend->adopt_stream(pair.a.release());
    EXPECT_TRUE(channel);
    return ends.emplace_back(std::to_string(ends.size()), trace, std::move(channel.value()),
                             std::move(pair.b));
  }
  void open_many(std::size_t many) {
    for (std::size_t i = 0; i < many; ++i) open();
  }
  void start(Ends& end) {
    end.user.channel->start_receiving();
    end.receiving = true;
  }

  std::size_t up_to(std::size_t most) { return random_.up_to(most); }
  Ends& any() { return ends[up_to(ends.size() - 1)]; }
  std::string some_text(std::size_t most) {
    std::string text(1 + up_to(most - 1), '\0');
    for (char& letter : text) letter = static_cast<char>('a' + next_letter_++ % 26);
    return text;
  }

  std::deque<Ends> ends;

 private:
  test::SeededRandom random_;
  unsigned next_letter_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Kernel, KernelLoad, testing::ValuesIn(kernel_backends()),
                         kernel_backend_name);

// More requests and more completions in one turn than the smallest queues hold many times over.
TEST_P(KernelLoad, EchoesForMoreThanTheQueuesHold) {
  open_many(200);
  for (Ends& end : ends) {
    start(end);
    end.user.in_received = [&end] { end.write(text_of(end.user.last)); };
  }
  for (int round = 0; round < 10; ++round) {
    for (Ends& end : ends) {
      const std::string text = some_text(2000);
      write_all(end.peer.get(), text);
      end.sent += text;
    }
    for (Ends& end : ends) {
      run_until([&] {
        end.read();
        return end.arrived.size() >= end.sent.size();
      });
      EXPECT_EQ(end.arrived, end.sent);
    }
    trace.clear();
  }
}

// Those that do not read hold up neither themselves for ever nor the others, and lose nothing.
TEST_P(KernelLoad, SendsTogetherToPeersThatReadSlowly) {
  open_many(40);
  for (Ends& end : ends) {
    start(end);
    const int size = 1;  // the least there is
    ::setsockopt(end.user.channel->descriptor(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
  turn(std::chrono::milliseconds(0));
  std::size_t waited = 0;
  for (int round = 0; round < 200; ++round) {
    for (Ends& end : ends) end.write(some_text(3000));
    turn(std::chrono::milliseconds(0));
    for (const Ends& end : ends) waited += end.user.queue.empty() ? 0 : 1;
    for (std::size_t i = 0; i < ends.size() / 4; ++i) any().read(1000);
    trace.clear();
  }
  EXPECT_GT(waited, 0U) << "every send was complete";
  for (Ends& end : ends) {
    run_until([&] {
      end.read();
      return end.arrived.size() >= end.written.size();
    });
    EXPECT_EQ(end.arrived, end.written);
  }
}

// S8, S14: between what the kernel has received and what the user is told, the user stops, starts and closes at random:
// nothing is told to one who stopped or closed, and nothing is lost, doubled or exchanged for the others.
TEST_P(KernelLoad, LosesNothingToThoseWhoStopAndStart) {
  const auto serve = [&](Ends& end) {
    start(end);
    end.user.in_received = [&end] { EXPECT_TRUE(end.receiving && !end.closed); };
  };
  const auto act = [&](Ends& end) {
    if (end.closed) return;
    switch (up_to(9)) {
      case 0:
        end.user.channel->close();
        end.closed = true;
        break;
      case 1:
      case 2:
      case 3:
        end.user.channel->stop_receiving();
        end.receiving = false;
        break;
      case 4: end.user.own_buffer.resize(up_to(1) * 500); break;
      case 5: end.write(some_text(100)); break;
      default: start(end);
    }
  };
  for (int generation = 0; generation < 25; ++generation) {
    open_many(20);
    for (Ends& end : ends) serve(end);
    for (int round = 0; round < 40; ++round) {
      for (int i = 0; i < 10; ++i) {
        Ends& end = any();
        const std::string text = some_text(up_to(20) == 0 ? 30'000 : 300);
        if (end.closed || end.sent.size() - end.user.received.size() > 60'000) continue;
        write_all(end.peer.get(), text);
        end.sent += text;
      }
      backend->wait(TimePoint::min());
      for (int i = 0; i < 5; ++i) act(any());
      backend->dispatch();
      for (int i = 0; i < 5; ++i) act(any());
    }
    for (Ends& end : ends) {
      EXPECT_TRUE(std::string_view(end.sent).starts_with(end.user.received));
      if (end.closed) continue;
      start(end);
      run_until([&] {
        end.read();
        return end.user.received.size() >= end.sent.size() &&
               end.arrived.size() >= end.written.size();
      });
      EXPECT_EQ(end.user.received, end.sent);
      EXPECT_EQ(end.arrived, end.written);
      end.user.channel->close();
      end.closed = true;
    }
    settle();
    for (std::size_t i = 0; i < ends.size(); ++i) {
      EXPECT_EQ(std::ranges::count(trace, std::to_string(i) + ": closed"), 1);
    }
    ends.clear();
    trace.clear();
  }
}

}  // namespace
}  // namespace weir::test_backend
