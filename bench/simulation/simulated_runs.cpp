// How fast the simulated network is, on one core: round trips in one world, and short worlds with faults,
// one after the other; each in a second. Fails if a reply is not the one to its request.
//
//     bench_simulated_runs [round trips [worlds]]

#include <weir/weir.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_simulated_runs: %s\n", what.c_str());
  std::exit(1);
}

/// Answers each line with what `answer` makes of it.
struct LineServer : weir::Protocol {
  using Reply = std::function<void(std::string)>;
  using Answer = std::function<void(const std::string& line, Reply reply)>;

  explicit LineServer(Answer its_answer) : answer(std::move(its_answer)) {}
  void connection_made(weir::Transport made) override { transport = std::move(made); }
  void data_received(std::span<const std::byte> data) override {
    unfinished += weir::as_text(data);
    for (;;) {
      const auto end = unfinished.find('\n');
      if (end == std::string::npos) return;
      const std::string line = unfinished.substr(0, end);
      unfinished.erase(0, end + 1);
      answer(line, [to = transport](const std::string& text) { to.write(text + '\n'); });
    }
  }
  Answer answer;
  weir::Transport transport;
  std::string unfinished;
};

/// Sends a request, and connects anew when the connection is lost: then all that wait are sent again. A peer
/// that crashed once it had the request will never answer, nor say so: the connection is given up in time.
class LineClient {
 public:
  LineClient(weir::EventLoop& loop, std::string host) : loop_(loop), host_(std::move(host)) {
    connect();
  }
  void ask(const std::string& line, LineServer::Reply reply) {
    waiting_.emplace_back(line, std::move(reply));
    if (!watching_) watch();
    if (!transport_.is_closing()) transport_.write(line + '\n');
  }

 private:
  struct Reader : LineServer {
    explicit Reader(LineClient& its_client)
        : LineServer([this](const std::string& line, const Reply&) { client.answered(line); }),
          client(its_client) {}
    void connection_made(weir::Transport made) override {
      LineServer::connection_made(made);
      client.transport_ = made;
      for (const auto& [line, reply] : client.waiting_) made.write(line + '\n');
    }
    void connection_lost(const weir::CloseReason&) override {
      client.transport_ = {};
      client.connect_later();
    }
    LineClient& client;
  };

  void connect() {
    auto opening = weir::create_connection(
        loop_, [this] { return std::make_shared<Reader>(*this); }, host_, 80);
    opening.add_done_callback([this, opening](const auto&) {
      if (opening.exception() != nullptr) connect_later();
    });
  }
  void connect_later() {
    loop_.call_later(500ms, [this] { connect(); });
  }
  void answered(const std::string& line) {
    if (waiting_.empty()) return;  // to one that was sent twice
    const auto reply = std::move(waiting_.front().second);
    waiting_.pop_front();
    ++answered_;
    reply(line);
  }
  void watch() {
    watching_ = !waiting_.empty();
    if (!watching_) return;
    loop_.call_later(5s, [this, before = answered_] {
      if (answered_ == before) transport_.abort();
      watch();
    });
  }

  weir::EventLoop& loop_;
  std::string host_;
  weir::Transport transport_;
  std::deque<std::pair<std::string, LineServer::Reply>> waiting_;
  std::uint64_t answered_ = 0;
  bool watching_ = false;
};

weir::SimulatedNetwork::Program serving(LineServer::Answer answer) {
  return [answer = std::move(answer)](weir::EventLoop& loop) {
    weir::create_server(
        loop, [answer] { return std::make_shared<LineServer>(answer); }, "0.0.0.0", 80);
  };
}

void answer_at_once(const std::string& line, const LineServer::Reply& reply) { reply("=" + line); }

double round_trips(std::uint64_t count) {
  weir::SimulatedNetwork network;
  network.add_host("server", serving(answer_at_once));
  weir::EventLoop loop({.host = network.add_host("client")});
  LineClient client(loop, "server");
  std::uint64_t done = 0;
  const std::string line(63, 'x');
  std::function<void(std::string)> next = [&](const std::string& reply) {
    if (reply.size() != line.size() + 1) fail("a wrong reply");
    if (++done == count) return loop.stop();
    client.ask(line, next);
  };
  client.ask(line, next);
  return seconds_of([&] { loop.run_forever(); });
}

/// A client asks a front, which asks a store; one of them crashes, two are parted, and all links lose.
std::uint64_t world(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  weir::SimulatedNetwork network({.seed = seed, .link = {.loss = 0.01}});
  const auto store = network.add_host("store", serving(answer_at_once));
  const auto front = network.add_host("front", [](weir::EventLoop& loop) {
    auto to_store = std::make_shared<LineClient>(loop, "store");
    serving([to_store](const std::string& line, LineServer::Reply reply) {
      to_store->ask(line, std::move(reply));
    })(loop);
  });
  const auto at = [&](int after) { return std::chrono::milliseconds(after + random() % 1000); };
  const auto victim = random() % 2 == 0 ? store : front;
  network.at(at(0), [&] { network.crash(victim); });
  network.at(at(1000), [&] { network.restart(victim); });
  network.at(at(0), [&] { network.partition(store, front); });
  network.at(at(1000), [&] { network.heal(); });
  weir::EventLoop loop({.host = network.add_host("client")});
  LineClient client(loop, "front");
  constexpr int requests = 20;
  int replies = 0;
  for (int number = 0; number < requests; ++number) {
    loop.call_later(at(0), [&client, &replies, number] {
      client.ask(std::to_string(number), [&replies](const std::string& reply) {
        if (reply.front() != '=') fail("a wrong reply");
        ++replies;
      });
    });
  }
  if (!network.run_until([&] { return replies >= requests; }, 10min)) {
    fail("world " + std::to_string(seed) + " has no reply");
  }
  return network.trace_hash();
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t trips = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200'000;
  const std::uint64_t worlds = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000;
  const double trips_took = round_trips(trips);
  std::uint64_t all = 0;
  const double worlds_took = seconds_of([&] {
    for (std::uint64_t seed = 1; seed <= worlds; ++seed) all = all * 31 + world(seed);
  });
  std::fprintf(stderr, "%.2f s and %.2f s; the hash of all worlds is %016llx\n", trips_took,
               worlds_took, static_cast<unsigned long long>(all));
  std::printf("{\"round trips\": %.0f, \"worlds of three hosts with faults\": %.0f}\n",
              static_cast<double>(trips) / trips_took, static_cast<double>(worlds) / worlds_took);
}
