// What users do while the kernel receives: a thread sends to plain sockets all the time, and the loop's thread pauses,
// resumes, closes and aborts at random. Each test prints its seed; WEIR_TEST_SEED repeats the choices, not the moments.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <weir/weir.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "descriptor_support.h"
#include "loop_support.h"
#include "loop_test.h"
#include "seeded_random.h"

namespace weir::test {
namespace {

/// Two connected TCP sockets.
SocketPair tcp_pair() {
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0 ||
      ::connect(client, generic, length) != 0) {
    throw std::system_error(errno, std::system_category(), "no pair of sockets");
  }
  return {client, ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
}

/// One connection: what its transport was told, and what the thread sends to it.
struct Connected {
  Descriptor peer;
  std::string text;  ///< all that is sent, as long as anybody receives
  std::string received{};
  Transport transport{};
  bool paused = false;
  bool ended = false;   ///< closed or aborted
  bool spared = false;  ///< never ended by us
  int lost = 0;
  int told_against_the_rules = 0;
};

struct Receiving : Protocol {
  explicit Receiving(Connected& diary) : connected(diary) {}
  void connection_made(Transport made) override { connected.transport = made; }
  void data_received(std::span<const std::byte> data) override {
    connected.received += as_text(data);
    if (connected.paused || connected.ended) ++connected.told_against_the_rules;
  }
  bool eof_received() override {
    if (connected.paused || connected.ended) ++connected.told_against_the_rules;
    return false;
  }
  void connection_lost(const CloseReason&) override { ++connected.lost; }

  Connected& connected;
};

class Races : public EveryLoop {
 protected:
  std::size_t up_to(std::size_t most) { return random_.up_to(most); }

  void open(std::size_t number) {
    SocketPair pair = number % 2 == 0 ? SocketPair() : tcp_pair();
    Connected& connected = connections.emplace_back(
        Connected{.peer = Descriptor(pair.release_b()),
                  .text = pattern(1 + up_to(60 * KiB), static_cast<unsigned>(number))});
    connected.spared = up_to(2) == 0;
    run_until_done(create_connection(
        loop(), [&] { return std::make_shared<Receiving>(connected); },
        ConnectOptions{.sock = pair.release_a()}));
  }

  /// Whatever a user may do next.
  void act(Connected& connected) {
    const std::size_t choice = up_to(39);
    if (choice == 0 && !connected.spared) {
      connected.ended = true;
      up_to(1) == 0 ? connected.transport.close() : connected.transport.abort();
    } else if (choice < 12) {
      connected.paused = true;
      connected.transport.pause_reading();
    } else {
      connected.paused = false;
      connected.transport.resume_reading();
    }
  }

  std::deque<Connected> connections;

 private:
  SeededRandom random_;
};

/// Sends all that is to be sent, by turns and in amounts of many sizes, and then ends each stream.
void send_all(std::deque<Connected>& connections, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::size_t> sent(connections.size());
  for (std::size_t left = connections.size(); left > 0;) {
    for (std::size_t i = 0; i < connections.size(); ++i) {
      const std::string_view rest = std::string_view(connections[i].text).substr(sent[i]);
      if (rest.empty()) continue;
      const std::string_view part =
          rest.substr(0, 1 + random() % (random() % 8 == 0 ? 20'000 : 500));
      const int peer = connections[i].peer.get();
      const ssize_t size = ::send(peer, part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) continue;
      sent[i] = size < 0 ? connections[i].text.size() : sent[i] + static_cast<std::size_t>(size);
      if (sent[i] < connections[i].text.size()) continue;
      ::shutdown(peer, SHUT_WR);
      --left;
    }
    std::this_thread::yield();
  }
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Races, ::testing::ValuesIn(backends_with_descriptors(true)),
                         backend_name);

// S2, S8, S14, B2: whoever pauses or ends at whatever moment is told nothing until he resumes, or ever again; what he
// was told is what was sent, from its beginning, and all of it unless he ended.
TEST_P(Races, BetweenUsersAndTheKernelLoseNothing) {
  const int rounds = sanitized ? 5 : 20;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < 32; ++i) open(i);
    std::atomic<bool> all_sent = false;
    std::thread sender([&, seed = up_to(1'000'000)] {
      send_all(connections, seed);
      all_sent = true;
    });
    while (!all_sent) {
      for (int i = 0; i < 8; ++i) act(connections[up_to(connections.size() - 1)]);
      loop().run_once(std::chrono::milliseconds(up_to(1)));
    }
    sender.join();
    for (Connected& connected : connections) {
      connected.paused = false;
      connected.transport.resume_reading();
    }
    run_until([&] {
      return std::ranges::all_of(connections, [](const Connected& one) { return one.lost > 0; });
    });
    for (const Connected& connected : connections) {
      EXPECT_TRUE(connected.text.starts_with(connected.received));
      EXPECT_TRUE(connected.ended || connected.received.size() == connected.text.size());
      EXPECT_EQ(connected.lost, 1);
      EXPECT_EQ(connected.told_against_the_rules, 0);
    }
    iterate(2);
    connections.clear();
  }
}

}  // namespace
}  // namespace weir::test
