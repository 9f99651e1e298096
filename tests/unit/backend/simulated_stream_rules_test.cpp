#include <algorithm>
#include <random>

#include "simulated_fixture.h"

namespace weir::test_backend {
namespace {

/// A run in which one side sends, stalls, pauses and ends at random: what happened, and when.
Trace random_run(std::uint64_t seed, std::uint64_t network_seed, const Address& address = v6(0)) {
  std::mt19937_64 random(seed);
  const auto chance = [&](std::uint64_t of) { return random() % of == 0; };
  auto backend = make_simulated_backend({.seed = network_seed,
                                         .max_segment = std::size_t{1} << random() % 12,
                                         .buffer_size = 1 + random() % 3000});
  Trace trace;
  Accepting accepting;
  Connecting connecting;
  auto listener = backend->bind(address, {});
  EXPECT_FALSE(listener.value()->start_accepting(accepting, 0));
  const auto start = backend->connect(listener.value()->local_address(), {}, connecting);
  while (accepting.channels.empty()) {
    backend->wait(std::nullopt);
    backend->dispatch();
  }
  User left("left", trace, std::move(connecting.channel));
  User right("right", trace, std::move(accepting.channels[0]));
  right.own_buffer.resize(random() % 500);
  std::string text(random() % 20'000, '\0');
  for (char& character : text) character = static_cast<char>('a' + random() % 26);
  left.send(text);
  const auto left_done = [&] {
    if (left.queue.empty()) left.channel->shutdown_send();
  };
  left.in_sent = left_done;
  left_done();
  bool paused = true;
  for (int turns = 0; trace.empty() || trace.back() != "right: eof"; ++turns) {
    if (turns > 200'000) {
      ADD_FAILURE() << "stalled with seeds " << seed << ", " << network_seed;
      break;
    }
    if (chance(3)) {
      paused = !paused;
      paused ? right.channel->stop_receiving() : right.channel->start_receiving();
    }
    backend->wait(backend->now() + microseconds(random() % 300));
    const std::size_t before = trace.size();
    const std::size_t count = backend->dispatch();
    EXPECT_EQ(trace.size() - before, count);
    if (count > 0)
      trace.push_back("at " + std::to_string(backend->now().time_since_epoch().count()));
    if (trace.size() > 1 && trace[trace.size() - 2] == "right: eof") trace.pop_back();
  }
  EXPECT_EQ(right.received, text) << "seeds " << seed << ", " << network_seed;
  return trace;
}

/// A user that does what comes to its mind, and checks the rules of the seam.
class Monkey final : public StreamEvents {
 public:
  Monkey(std::mt19937_64& random, std::unique_ptr<StreamChannel> taken)
      : channel(std::move(taken)), random_(random) {
    channel->attach(*this);
  }

  std::optional<std::span<std::byte>> receive_buffer() noexcept override {
    check_event(receiving_ && !eof_);
    act();
    if (closed_) return std::nullopt;
    return std::span(buffer_).first(random_() % 9);
  }
  void on_received(ConstBytes bytes) noexcept override {
    check_event(receiving_ && !eof_ && !bytes.empty() && received_in != dispatch_number);
    received_in = dispatch_number;
    act();
  }
  void on_eof() noexcept override {
    check_event(receiving_ && !eof_);
    eof_ = true;
    act();
  }
  std::size_t unsent(std::span<ConstBytes> pieces) noexcept override {
    EXPECT_FALSE(closed_ || failed_);
    if (unsent_ == 0) return 0;
    pieces[0] = std::span(buffer_).first(unsent_);
    return 1;
  }
  void on_sent(std::size_t count) noexcept override {
    check_event(count > 0 && count <= unsent_);
    unsent_ -= count;
    act();
  }
  void on_failed(std::error_code error) noexcept override {
    check_event(!!error);
    failed_ = true;
    act();
  }
  void on_closed() noexcept override {
    EXPECT_TRUE(closed_ && !gone);
    gone = true;
    channel.reset();
  }

  void act() noexcept {
    if (closed_) return;
    const std::uint64_t choice = random_() % 40;
    if (choice < 10) {
      receiving_ = true;
      channel->start_receiving();
    } else if (choice < 15) {
      receiving_ = false;
      channel->stop_receiving();
    } else if (choice < 25 && unsent_ == 0 && !ended_ && !failed_) {
      send();
    } else if (choice == 25 && unsent_ == 0) {
      ended_ = true;
      channel->shutdown_send();
    } else if (choice == 26) {
      close();
    }
  }
  void close() noexcept {
    closed_ = true;
    channel->close();
  }

  std::unique_ptr<StreamChannel> channel;
  bool gone = false;
  std::size_t received_in = 0;
  static inline std::size_t dispatch_number = 0;

 private:
  void check_event(bool right) {
    EXPECT_TRUE(right);
    EXPECT_FALSE(closed_ || failed_);
  }
  void send() noexcept {
    const ConstBytes piece = std::span(buffer_).first(1 + random_() % buffer_.size());
    const SendResult result = channel->try_send({&piece, 1});
    if (result.error) {
      failed_ = true;
    } else if (result.sent < piece.size()) {
      unsent_ = piece.size() - result.sent;
      channel->start_sending();
    }
  }

  std::mt19937_64& random_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(64);
  std::size_t unsent_ = 0;
  bool receiving_ = false;
  bool eof_ = false;
  bool ended_ = false;
  bool failed_ = false;
  bool closed_ = false;
};

class SimulatedBackendRules : public testing::TestWithParam<Address> {};

TEST_P(SimulatedBackendRules, AreKeptWhateverUsersDo) {
  const Address address = GetParam();
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto backend = make_simulated_backend({.seed = seed, .max_segment = 20, .buffer_size = 40});
    Accepting accepting;
    std::vector<Connecting> connecting(4);
    std::vector<std::unique_ptr<ConnectAttempt>> attempts;
    auto listener = backend->bind(address, {});
    EXPECT_FALSE(listener.value()->start_accepting(accepting, 1));
    for (Connecting& events : connecting) {
      attempts.push_back(backend->connect(address, {}, events).attempt);
    }
    const auto turn = [&] {
      backend->wait(backend->now() + microseconds(random() % 100));
      ++Monkey::dispatch_number;
      backend->dispatch();
    };
    while (accepting.channels.size() < connecting.size()) turn();
    std::vector<std::unique_ptr<Monkey>> monkeys;
    for (auto& channel : accepting.channels) {
      monkeys.push_back(std::make_unique<Monkey>(random, std::move(channel)));
    }
    for (Connecting& events : connecting) {
      monkeys.push_back(std::make_unique<Monkey>(random, std::move(events.channel)));
    }
    const SimulatedPipe pipe = backend->make_simulated_pipe().value();
    for (const auto& [number, end] : {std::pair(pipe.read_end, detail::PipeEnd::read),
                                      std::pair(pipe.write_end, detail::PipeEnd::write)}) {
      auto channel = backend->adopt_pipe(number, end);
      monkeys.push_back(std::make_unique<Monkey>(random, std::move(channel.value())));
    }
    for (int turns = 0; turns < 300; ++turns) {
      monkeys[random() % monkeys.size()]->act();
      if (random() % 10 == 0) backend->interrupt_dispatch();
      turn();
    }
    for (const auto& monkey : monkeys) {
      if (monkey->channel != nullptr) monkey->close();
    }
    turn();
    EXPECT_TRUE(std::ranges::all_of(monkeys, [](const auto& monkey) { return monkey->gone; }));
  }
}

INSTANTIATE_TEST_SUITE_P(Backend, SimulatedBackendRules,
                         testing::Values(v4(80), Address::unix_socket("/x")));

TEST(SimulatedBackendRuns, AreTheSameForTheSameSeed) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Trace trace = random_run(seed, 7);
    EXPECT_EQ(trace, random_run(seed, 7));
    EXPECT_EQ(random_run(seed, 7, Address::unix_socket("/x")),
              random_run(seed, 7, Address::unix_socket("/x")));
  }
}

TEST(SimulatedBackendRuns, DifferWithTheSeedOfTheNetwork) {
  EXPECT_NE(random_run(1, 1), random_run(1, 2));
}

TEST(SimulatedBackendRuns, TakeStrangeOptionsAsTheNearestThatMakeSense) {
  auto backend =
      make_simulated_backend({.link = {.min_delay = nanoseconds(-5), .max_delay = nanoseconds(-9)},
                              .max_segment = 0,
                              .buffer_size = 0});
  Accepting accepting;
  Connecting connecting;
  auto listener = backend->bind(v4(0), {});
  EXPECT_FALSE(listener.value()->start_accepting(accepting, -1));
  const TimePoint start = backend->now();
  const auto connect = backend->connect(listener.value()->local_address(), {}, connecting);
  while (accepting.channels.empty()) {
    backend->wait(std::nullopt);
    backend->dispatch();
  }
  EXPECT_EQ(backend->now(), start);
  const ConstBytes piece = bytes_of("ab");
  EXPECT_EQ(connecting.channel->try_send({&piece, 1}).sent, 1U);
}

}  // namespace
}  // namespace weir::test_backend
