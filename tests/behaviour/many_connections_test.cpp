#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "descriptor_support.h"
#include "endpoint_support.h"
#include "loop_support.h"
#include "loop_test.h"

// A server with more connections at once than it has buffers, completions and events for: plain sockets are its
// clients, so that what they do is known to the byte.
namespace weir::test {
namespace {

/// Lets this process open as many descriptors as it may, while it lives.
class MostDescriptors {
 public:
  MostDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit most{.rlim_cur = before_.rlim_max, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &most);
  }
  MostDescriptors(const MostDescriptors&) = delete;
  MostDescriptors& operator=(const MostDescriptors&) = delete;
  ~MostDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

  /// `wanted` connections, or as many as there are descriptors for, of which each takes two.
  std::size_t connections(std::size_t wanted) const {
    constexpr std::size_t others = 200;
    return std::min<std::size_t>(wanted, (before_.rlim_max - others) / 2);
  }

 private:
  rlimit before_{};
};

/// A client's end of a connection.
struct PlainClient {
  Descriptor socket;
  std::uint16_t port = 0;  ///< its own, by which the server knows it
  std::string received{};

  void send(std::string_view text) const { test::send(socket.get(), text); }
  /// Takes what is there.
  void read() {
    std::array<char, 64 * KiB> buffer;  // NOLINT(*-member-init): filled as far as it is used
    const ssize_t size = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) received.append(buffer.data(), static_cast<std::size_t>(size));
  }
  bool has_received(std::size_t size) {
    if (received.size() < size) read();
    return received.size() >= size;
  }
  /// Closes it; with a reset, whatever there is to read.
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket.reset();
  }
};

class ManyConnections : public EveryLoop {
 protected:
  /// What the server knows of a connection.
  struct Served {
    Transport transport;
    std::size_t received = 0;
    int lost = 0;
    bool is_greedy = false;
  };
  /// Counts, and leaves to `answer` what to do with what arrived.
  struct Serving : Protocol {
    explicit Serving(ManyConnections& owner) : test(owner) {}
    void connection_made(Transport made) override {
      served = &test.served[made.get_extra_info<Address>("peername")->port()];
      served->transport = made;
      ++test.open;
    }
    void data_received(std::span<const std::byte> data) override {
      served->received += data.size();
      test.answer(*served, as_text(data));
    }
    void connection_lost(const CloseReason&) override {
      ++served->lost;
      --test.open;
    }

    ManyConnections& test;
    Served* served = nullptr;
  };

  void listen() {
    server = run_until_done(create_server(
        loop(), [this] { return std::make_shared<Serving>(*this); }, "127.0.0.1", 0));
  }
  void connect_many(std::size_t many) {
    constexpr std::size_t at_once = 64;  // less than the backlog
    while (clients.size() < many) {
      for (std::size_t i = 0; i < at_once && clients.size() < many; ++i) connect_one();
      run_until([&] { return open == clients.size(); });
    }
  }
  void close_all() {
    clients.clear();
    run_until([&] { return open == 0; });
    server.close();
    run_until_done(server.wait_closed());
  }

  std::function<void(Served&, std::string_view)> answer = [](Served& to, std::string_view text) {
    to.transport.write(text);
  };
  Server server;
  std::deque<PlainClient> clients;
  std::map<std::uint16_t, Served> served;  ///< by the client's port
  std::size_t open = 0;

 private:
  void connect_one() {
    PlainClient& client = clients.emplace_back(
        PlainClient{.socket = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))});
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_of(server));
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    if (::connect(client.socket.get(), generic, length) != 0 ||
        ::getsockname(client.socket.get(), generic, &length) != 0) {
      throw std::system_error(errno, std::system_category(), "a test cannot connect");
    }
    client.port = ntohs(address.sin_port);
  }
};

INSTANTIATE_TEST_SUITE_P(Behaviour, ManyConnections,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

/// Of the client with that number, in that round.
std::string message(std::size_t client, unsigned round) {
  return pattern(1000 + client % 50, static_cast<unsigned>(client) * 8 + round);
}

// S2, S3: ten thousand connections that all have something at once are all answered, each with its own bytes.
TEST_P(ManyConnections, EachGetsItsOwnBytesBack) {
  const MostDescriptors most;
  listen();
  connect_many(most.connections(sanitized ? 1000 : 10'000));
  for (unsigned round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) clients[i].send(message(i, round));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::string expected = message(i, round);
      run_until([&] { return clients[i].has_received(expected.size()); });
      wrong += clients[i].received != expected ? 1 : 0;
      clients[i].received.clear();
    }
    EXPECT_EQ(wrong, 0U) << "in round " << round;
  }
  close_all();
  for (const auto& [port, connection] : served) EXPECT_EQ(connection.lost, 1);
}

// S3: those who send a little now and then are answered while others send without end.
TEST_P(ManyConnections, FewWhoSendWithoutEndStarveNobody) {
  constexpr std::size_t greedy = 8;
  listen();
  connect_many(greedy + (sanitized ? 50 : 200));
  // Those are not answered: they never read.
  answer = [&](Served& from, std::string_view text) {
    if (!from.is_greedy) from.transport.write(text);
  };
  for (std::size_t i = 0; i < greedy; ++i) served[clients[i].port].is_greedy = true;
  const auto feed_the_greedy = [&] {
    for (std::size_t i = 0; i < greedy; ++i) fill(clients[i].socket.get());
  };
  for (unsigned round = 0; round < 3; ++round) {
    for (std::size_t i = greedy; i < clients.size(); ++i) clients[i].send(message(i, round));
    for (std::size_t i = greedy; i < clients.size(); ++i) {
      const std::string expected = message(i, round);
      run_until([&] {
        feed_the_greedy();
        return clients[i].has_received(expected.size());
      });
      EXPECT_EQ(clients[i].received, expected);
      clients[i].received.clear();
    }
  }
  for (std::size_t i = 0; i < greedy; ++i) EXPECT_GT(served[clients[i].port].received, 0U);
  close_all();
}

// B2, S31: half of the clients go, some with a reset, while answers are on their way to all of them. The others get
// theirs, and each connection ends once.
TEST_P(ManyConnections, ThoseThatStayAreServedWhenOthersAreKilled) {
  const std::size_t many = 200;
  const std::size_t size = 400 * KiB;
  listen();
  connect_many(many);
  for (auto& [port, connection] : served) {
    // So that the greater part of an answer waits.
    const int room = 64 * 1024;
    const auto socket = connection.transport.get_extra_info<SocketView>("socket")->descriptor;
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  }
  answer = [&](Served& to, std::string_view text) {
    to.transport.write(pattern(size, static_cast<unsigned>(std::stoul(std::string(text)))));
  };
  for (std::size_t i = 0; i < many; ++i) clients[i].send(std::to_string(i));
  run_until([&] {
    return std::ranges::all_of(served, [](const auto& entry) { return entry.second.received > 0; });
  });
  for (std::size_t i = 0; i < many; i += 4) clients[i].reset();
  iterate(1);
  for (std::size_t i = 2; i < many; i += 4) clients[i].socket.reset();
  run_until([&] {
    bool complete = true;
    for (std::size_t i = 1; i < many; i += 2) {
      complete = clients[i].has_received(size) && complete;
    }
    return complete;
  });
  for (std::size_t i = 1; i < many; i += 2) {
    EXPECT_TRUE(clients[i].received == pattern(size, static_cast<unsigned>(i)));
  }
  run_until([&] { return open == many / 2; });
  for (std::size_t i = 0; i < many; ++i) {
    EXPECT_EQ(served[clients[i].port].lost, i % 2 == 0 ? 1 : 0);
  }
  close_all();
  for (const auto& [port, connection] : served) EXPECT_EQ(connection.lost, 1);
}

}  // namespace
}  // namespace weir::test
