#include "connect_race.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <weir/event_loop.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "loop.h"

namespace weir {
namespace {

using detail::ConnectAttempt;
using detail::ConnectEvents;
using detail::ConnectRace;
using detail::ConnectStart;
using detail::ConnectStep;
using detail::Loop;
using detail::RacePlan;
using detail::StreamChannel;
using std::chrono::milliseconds;
using ::testing::ElementsAre;

std::error_code code(std::errc error) { return std::make_error_code(error); }

class IdleChannel final : public StreamChannel {
 public:
  void attach(detail::StreamEvents&) noexcept override {}
  void start_receiving() noexcept override {}
  void stop_receiving() noexcept override {}
  detail::SendResult try_send(std::span<const detail::ConstBytes>) noexcept override { return {}; }
  void start_sending() noexcept override {}
  void shutdown_send() noexcept override {}
  void close() noexcept override {}
  Address local_address() const override { return {}; }
  int descriptor() const noexcept override { return -1; }
};

/// A network that answers when the test says so: addresses that never answer are what a race is for,
/// and what no real or simulated network has to offer.
class PatientNetwork final : public detail::Backend {
 public:
  /// Every attempt to connect, and its end, in order: "+10.0.0.1:1", "-10.0.0.1:1".
  std::vector<std::string> trace;
  /// Failures of connect() itself, by address, local or remote.
  std::map<std::string, std::errc> refused_at_once;

  void answer(const std::string& remote) {
    attempts_.at(remote)->on_connected(std::make_unique<IdleChannel>());
  }
  void refuse(const std::string& remote) {
    attempts_.at(remote)->on_connect_failed(code(std::errc::connection_refused));
  }
  std::size_t running() const { return attempts_.size(); }

  ConnectStart connect(const Address& remote, const Address& local,
                       ConnectEvents& events) override {
    const std::string name = remote.to_string();
    const std::string local_name = local.to_string();
    trace.push_back("+" + name + (local.empty() ? "" : " from " + local_name));
    for (const auto& [at, step] :
         {std::pair(local_name, ConnectStep::bind), std::pair(name, ConnectStep::connect)}) {
      if (const auto found = refused_at_once.find(at); found != refused_at_once.end()) {
        return {.attempt = nullptr, .step = step, .error = code(found->second)};
      }
    }
    attempts_[name] = &events;
    return {.attempt = std::make_unique<Attempt>(*this, name)};
  }

  detail::TimePoint now() const noexcept override { return {}; }
  void wait(std::optional<detail::TimePoint>) noexcept override {}
  std::size_t dispatch() noexcept override { return 0; }
  void interrupt_dispatch() noexcept override {}
  void wake() noexcept override {}
  int poll_descriptor() noexcept override { return -1; }
  bool has_pending_events() const noexcept override { return false; }
  std::unique_ptr<detail::DescriptorWatch> watch(int, detail::WatchEvents&) override {
    return nullptr;
  }
  bool owns(int) const noexcept override { return false; }
  detail::Result<std::unique_ptr<detail::ListenChannel>> bind(
      const Address&, const detail::ListenOptions&) override {
    return code(std::errc::operation_not_supported);
  }
  detail::Result<std::unique_ptr<detail::ListenChannel>> adopt_listener(int) override {
    return code(std::errc::operation_not_supported);
  }
  detail::Result<std::unique_ptr<StreamChannel>> adopt_stream(int) override {
    return code(std::errc::operation_not_supported);
  }
  detail::Result<std::unique_ptr<StreamChannel>> adopt_pipe(int, detail::PipeEnd) override {
    return code(std::errc::operation_not_supported);
  }
  detail::DatagramOpened open_datagram(const detail::DatagramPlan&) override { return {}; }
  detail::Result<std::unique_ptr<detail::DatagramChannel>> adopt_datagram(int) override {
    return code(std::errc::operation_not_supported);
  }
  Address peer_address(int) const override { return {}; }
  std::optional<detail::KnownName> known_name(std::string_view) const override {
    return std::nullopt;
  }

 private:
  class Attempt final : public ConnectAttempt {
   public:
    Attempt(PatientNetwork& network, std::string name)
        : network_(network), name_(std::move(name)) {}
    ~Attempt() override {
      network_.attempts_.erase(name_);
      network_.trace.push_back("-" + name_);
    }

   private:
    PatientNetwork& network_;
    std::string name_;
  };

  std::map<std::string, ConnectEvents*> attempts_;
};

/// The time is the simulation's: exact, and nobody waits.
class ConnectRaceTest : public ::testing::Test, public detail::RaceEvents {
 protected:
  static constexpr const char* a = "10.0.0.1:1";
  static constexpr const char* b = "10.0.0.2:1";
  static constexpr const char* c = "10.0.0.3:1";

  static RacePlan plan(std::optional<std::chrono::nanoseconds> delay) {
    return {.remotes = {Address::ipv4({10, 0, 0, 1}, 1), Address::ipv4({10, 0, 0, 2}, 1),
                        Address::ipv4({10, 0, 0, 3}, 1)},
            .locals = std::nullopt,
            .delay = delay};
  }

  void start(RacePlan race_plan) {
    race =
        std::make_unique<ConnectRace>(Loop::of(event_loop), network, std::move(race_plan), *this);
    race->start();
  }

  /// Runs the loop for that long, in its time.
  void pass(std::chrono::nanoseconds time) {
    event_loop.call_later(time, [this] { event_loop.stop(); });
    event_loop.run_forever();
  }

  void race_won(std::unique_ptr<StreamChannel> channel, const Address& remote) noexcept override {
    EXPECT_NE(channel, nullptr);
    outcome.push_back("won " + remote.to_string());
    if (destroy_when_over) race.reset();
  }
  void race_lost(std::vector<std::system_error> failures) noexcept override {
    outcome.push_back("lost");
    for (const std::system_error& error : failures) errors.emplace_back(error.what());
    if (destroy_when_over) race.reset();
  }

  EventLoop event_loop{{.backend = BackendKind::simulated}};
  PatientNetwork network;
  std::unique_ptr<ConnectRace> race;
  std::vector<std::string> outcome;
  std::vector<std::string> errors;
  bool destroy_when_over = true;
};

// N4: without a delay they are tried one at a time, in order.
TEST_F(ConnectRaceTest, TriesOneAfterTheOther) {
  start(plan(std::nullopt));
  pass(std::chrono::hours(1));
  EXPECT_THAT(network.trace, ElementsAre("+10.0.0.1:1"));
  network.refuse(a);
  EXPECT_THAT(network.trace, ElementsAre("+10.0.0.1:1", "-10.0.0.1:1", "+10.0.0.2:1"));
  network.answer(b);
  EXPECT_THAT(outcome, ElementsAre("won 10.0.0.2:1"));
  EXPECT_EQ(network.running(), 0U);
}

// N5, N13: when all failed, the errors say the addresses.
TEST_F(ConnectRaceTest, TellsAllErrors) {
  start(plan(std::nullopt));
  network.refuse(a);
  network.refuse(b);
  network.refuse(c);
  EXPECT_THAT(outcome, ElementsAre("lost"));
  EXPECT_THAT(errors, ElementsAre("connect to 10.0.0.1:1: Connection refused",
                                  "connect to 10.0.0.2:1: Connection refused",
                                  "connect to 10.0.0.3:1: Connection refused"));
}

// N8: each starts a delay after the one before; the first success ends the others.
TEST_F(ConnectRaceTest, NextOneJoinsAfterTheDelay) {
  start(plan(milliseconds(250)));
  pass(milliseconds(249));
  EXPECT_EQ(network.running(), 1U);
  pass(milliseconds(2));
  EXPECT_EQ(network.running(), 2U);
  pass(milliseconds(250));
  EXPECT_EQ(network.running(), 3U);
  network.answer(b);
  EXPECT_THAT(outcome, ElementsAre("won 10.0.0.2:1"));
  EXPECT_EQ(network.running(), 0U);
}

// N8: the first success keeps the next ones from starting.
TEST_F(ConnectRaceTest, NobodyStartsAfterASuccess) {
  destroy_when_over = false;
  start(plan(milliseconds(250)));
  network.answer(a);
  pass(std::chrono::hours(1));
  EXPECT_THAT(network.trace, ElementsAre("+10.0.0.1:1", "-10.0.0.1:1"));
}

// N8: a failure starts the next one at once, and the delay counts from there.
TEST_F(ConnectRaceTest, FailureStartsTheNextAtOnce) {
  start(plan(milliseconds(250)));
  pass(milliseconds(100));
  network.refuse(a);
  EXPECT_THAT(network.trace, ElementsAre("+10.0.0.1:1", "-10.0.0.1:1", "+10.0.0.2:1"));
  pass(milliseconds(249));
  EXPECT_EQ(network.running(), 1U);
  pass(milliseconds(2));
  EXPECT_EQ(network.running(), 2U);
}

// N8: it is the latest whose failure counts; that of an earlier one starts nobody.
TEST_F(ConnectRaceTest, FailureOfAnEarlierOneStartsNobody) {
  start(plan(milliseconds(250)));
  pass(milliseconds(300));
  network.refuse(a);
  EXPECT_EQ(network.running(), 1U);
  pass(milliseconds(190));
  EXPECT_EQ(network.running(), 1U);
  pass(milliseconds(20));
  EXPECT_EQ(network.running(), 2U);
}

// N5, N8: it is lost when the last one that was running has failed.
TEST_F(ConnectRaceTest, LostWhenAllHaveFailed) {
  start(plan(milliseconds(0)));
  pass(milliseconds(1));
  ASSERT_EQ(network.running(), 3U);
  network.refuse(c);
  network.refuse(a);
  EXPECT_TRUE(outcome.empty());
  network.refuse(b);
  EXPECT_THAT(outcome, ElementsAre("lost"));
  EXPECT_THAT(errors, ElementsAre("connect to 10.0.0.3:1: Connection refused",
                                  "connect to 10.0.0.1:1: Connection refused",
                                  "connect to 10.0.0.2:1: Connection refused"));
}

// N9: destroying it ends every attempt and every timer.
TEST_F(ConnectRaceTest, DestroyingEndsEverything) {
  start(plan(milliseconds(250)));
  pass(milliseconds(300));
  race.reset();
  EXPECT_EQ(network.running(), 0U);
  pass(std::chrono::hours(1));
  EXPECT_EQ(network.running(), 0U);
  EXPECT_TRUE(outcome.empty());
}

TEST_F(ConnectRaceTest, ImmediateFailuresAreSkipped) {
  network.refused_at_once = {{a, std::errc::network_unreachable},
                             {b, std::errc::network_unreachable}};
  start(plan(milliseconds(250)));
  EXPECT_EQ(network.running(), 1U);
  network.answer(c);
  EXPECT_THAT(outcome, ElementsAre("won 10.0.0.3:1"));
}

TEST_F(ConnectRaceTest, ImmediateFailuresOfAll) {
  network.refused_at_once = {{a, std::errc::network_unreachable},
                             {b, std::errc::network_unreachable},
                             {c, std::errc::network_unreachable}};
  start(plan(std::nullopt));
  EXPECT_THAT(outcome, ElementsAre("lost"));
  EXPECT_EQ(errors.size(), 3U);
}

// N6: only local addresses of the remote's family are tried.
TEST_F(ConnectRaceTest, BindsToTheRemotesFamily) {
  RacePlan with_locals = plan(std::nullopt);
  with_locals.remotes.resize(1);
  with_locals.locals = {*Address::parse("::1", 0), *Address::parse("10.9.9.9", 5)};
  start(std::move(with_locals));
  EXPECT_THAT(network.trace, ElementsAre("+10.0.0.1:1 from 10.9.9.9:5"));
}

// N6: a bind failure is recorded with its address, and the next local address tried.
TEST_F(ConnectRaceTest, NextLocalAddressAfterABindFailure) {
  network.refused_at_once = {{"10.9.9.8:5", std::errc::address_in_use}};
  RacePlan with_locals = plan(std::nullopt);
  with_locals.remotes.resize(1);
  with_locals.locals = {*Address::parse("10.9.9.8", 5), *Address::parse("10.9.9.9", 5)};
  start(std::move(with_locals));
  EXPECT_THAT(network.trace,
              ElementsAre("+10.0.0.1:1 from 10.9.9.8:5", "+10.0.0.1:1 from 10.9.9.9:5"));
  network.refuse(a);
  EXPECT_THAT(errors, ElementsAre("bind to 10.9.9.8:5: Address already in use",
                                  "connect to 10.0.0.1:1: Connection refused"));
}

// N6: no local address of the family is an error of that remote.
TEST_F(ConnectRaceTest, NoLocalAddressOfTheFamily) {
  RacePlan with_locals = plan(std::nullopt);
  with_locals.remotes.resize(1);
  with_locals.locals = {*Address::parse("::1", 0)};
  start(std::move(with_locals));
  EXPECT_THAT(outcome, ElementsAre("lost"));
  EXPECT_THAT(errors, ElementsAre("connect to 10.0.0.1:1: no local address is of its family: "
                                  "Address family not supported by protocol"));
}

}  // namespace
}  // namespace weir
