#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "simulated_fixture.h"

namespace weir::test_backend {
namespace {

using detail::DatagramChannel;
using detail::DatagramEvents;
using detail::DatagramPlan;
using detail::OutgoingDatagram;
using detail::ReceivedDatagram;

/// A user that does what comes to its mind, and checks the rules of the seam. What it sends to its peer
/// is numbered.
class DatagramMonkey final : public DatagramEvents {
 public:
  DatagramMonkey(std::mt19937_64& random, std::unique_ptr<DatagramChannel> taken)
      : channel(std::move(taken)), random_(random) {
    channel->attach(*this);
  }

  std::size_t on_datagrams(std::span<const ReceivedDatagram> datagrams) noexcept override {
    EXPECT_TRUE(receiving_ && !closed_ && !datagrams.empty() && received_in_ != dispatch_number);
    received_in_ = dispatch_number;
    const std::size_t taken = random_() % (datagrams.size() + 1);
    for (const ReceivedDatagram& datagram : datagrams.first(taken)) {
      const int number = std::stoi(text_of(datagram.data));
      EXPECT_GT(number, last_received_);
      last_received_ = number;
    }
    act();
    return taken;
  }
  void on_receive_failed(std::error_code error) noexcept override {
    EXPECT_TRUE(receiving_ && !closed_ && error);
    act();
  }
  std::size_t unsent(std::span<OutgoingDatagram> datagrams) noexcept override {
    EXPECT_FALSE(closed_);
    const std::size_t count = std::min(datagrams.size(), queue_.size());
    for (std::size_t i = 0; i < count; ++i) datagrams[i] = {bytes_of(queue_[i])};
    return count;
  }
  void on_sent(std::size_t count, std::error_code) noexcept override {
    EXPECT_TRUE(!closed_ && count > 0 && count <= queue_.size());
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
    act();
  }
  void on_closed() noexcept override {
    EXPECT_TRUE(closed_ && !gone);
    gone = true;
    channel.reset();
  }

  void act() noexcept {
    if (closed_) return;
    const std::uint64_t choice = random_() % 80;
    if (choice < 20) {
      receiving_ = true;
      channel->start_receiving();
    } else if (choice < 30) {
      receiving_ = false;
      channel->stop_receiving();
    } else if (choice < 70) {
      send();
    } else if (choice == 70) {
      close();
    }
  }
  void close() noexcept {
    closed_ = true;
    channel->close();
  }

  std::unique_ptr<DatagramChannel> channel;
  bool gone = false;
  static inline std::size_t dispatch_number = 0;

 private:
  void send() noexcept {
    queue_.push_back(std::to_string(++last_sent_));
    if (queue_.size() > 1) return;
    const OutgoingDatagram datagram{bytes_of(queue_[0])};
    if (channel->try_send({&datagram, 1}).done == 1) return queue_.clear();
    channel->start_sending();
  }

  std::mt19937_64& random_;
  std::deque<std::string> queue_;
  int last_sent_ = 0;
  int last_received_ = 0;
  std::size_t received_in_ = 0;
  bool receiving_ = false;
  bool closed_ = false;
};

TEST(SimulatedDatagramRules, AreKeptWhateverUsersDo) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto backend = make_simulated_backend({.seed = seed, .buffer_size = 300});
    std::vector<std::unique_ptr<DatagramMonkey>> monkeys;
    const auto add = [&](const Address& local, const Address& remote) {
      const DatagramPlan plan{.family = remote.family(), .local = local, .remote = remote};
      auto channel = backend->open_datagram(plan).channel;
      monkeys.push_back(std::make_unique<DatagramMonkey>(random, std::move(channel)));
    };
    add(v4(53), v4(54));
    add(v4(54), v4(53));
    add(Address::unix_socket("/a"),
        Address::unix_socket("/a"));  // talks to itself: nobody else may
    const auto turn = [&] {
      backend->wait(backend->now() + microseconds(random() % 100));
      ++DatagramMonkey::dispatch_number;
      backend->dispatch();
    };
    for (int turns = 0; turns < 300; ++turns) {
      monkeys[random() % monkeys.size()]->act();
      if (random() % 10 == 0) backend->interrupt_dispatch();
      turn();
    }
    for (const auto& monkey : monkeys) {
      if (!monkey->gone) monkey->close();
    }
    turn();
    EXPECT_TRUE(std::ranges::all_of(monkeys, [](const auto& monkey) { return monkey->gone; }));
  }
}

}  // namespace
}  // namespace weir::test_backend
