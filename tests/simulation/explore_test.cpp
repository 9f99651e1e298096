#include <weir/weir.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "simulation_support.h"

namespace weir::simulation_test {
namespace {

/// How exploring ends.
std::string outcome(const ExploreOptions& options,
                    const std::function<void(SimulatedNetwork&)>& scenario) {
  try {
    explore(options, scenario);
  } catch (const ScenarioFailed& failure) {
    return failure.what();
  }
  return "no failure";
}

TEST(Explore, TriesOneSeedAfterTheOther) {
  std::vector<std::uint64_t> seeds;
  explore({.first_seed = 5, .seeds = 3},
          [&](SimulatedNetwork& network) { seeds.push_back(network.seed()); });
  EXPECT_EQ(seeds, (std::vector<std::uint64_t>{5, 6, 7}));
}

TEST(Explore, TriesTheSeedOfTheEnvironmentAlone) {
  std::vector<std::uint64_t> seeds;
  ASSERT_EQ(setenv("WEIR_SEED", "17", 1), 0);
  explore({}, [&](SimulatedNetwork& network) { seeds.push_back(network.seed()); });
  ASSERT_EQ(setenv("WEIR_SEED", "many", 1), 0);
  EXPECT_THROW(explore({}, [](SimulatedNetwork&) {}), std::invalid_argument);
  ASSERT_EQ(unsetenv("WEIR_SEED"), 0);
  EXPECT_EQ(seeds, (std::vector<std::uint64_t>{17}));
}

TEST(Explore, ShowsTheRunThatFailed) {
  const auto scenario = [](SimulatedNetwork& network) {
    network.add_host("server", serving<Echo>(80));
    EventLoop loop({.host = network.add_host("client")});
    const auto [transport, echo] =
        loop.run_until_complete(create_connection<Echo>(loop, "server", 80));
    transport.write("x");
    network.run_for(1ms);
    network.crash(network.add_host("victim"));
    if (network.seed() == 3) throw std::runtime_error("an omen");
  };
  const std::string text = outcome({}, scenario);
  EXPECT_TRUE(text.starts_with("seed 3: an omen\n\n")) << text;
  EXPECT_TRUE(text.ends_with("\nWEIR_SEED=3 in the environment runs it alone.")) << text;
  for (const char* part : {"client", "server", "connection_made", "write 1 B \"x\"",
                           "data_received 1 B \"x\"", "crash of victim"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
  }
}

/// A transport of somebody else's, which calls back after the end.
TEST(Explore, FailsByABrokenContract) {
  struct Wrong final : ObservedTransport {
    TransportKind kind() const noexcept override { return TransportKind::socket; }
    bool is_closing() const noexcept override { return true; }
    bool is_reading() const noexcept override { return false; }
    std::size_t get_write_buffer_size() const noexcept override { return 0; }
    EffectiveWriteBufferLimits get_write_buffer_limits() const noexcept override { return {}; }
    ExtraInfo get_extra_info(std::string_view) const override { return {}; }
  };
  std::string reason;
  ContractChecker checker(
      [&](const ContractViolation& violation) { reason = to_string(violation); });
  const std::string text = outcome({.seeds = 1}, [&](SimulatedNetwork&) {
    const Wrong wrong;
    const auto observer = checker.observe(wrong);
    const Occurrence made{.activity = Activity::connection_made};
    for (int time = 0; time < 2; ++time) {
      observer->begins(made);
      observer->ends(made);
    }
    throw std::runtime_error(reason);
  });
  EXPECT_NE(text.find("contract violated [B1]"), std::string::npos) << text;
}

TEST(Explore, SaysThatARunCannotBeRepeated) {
  int runs = 0;
  const auto scenario = [&](SimulatedNetwork&) {
    if (++runs == 1) throw std::runtime_error("only once");
  };
  const std::string text = outcome({}, scenario);
  EXPECT_NE(
      text.find("seed 1: only once\nA second run with that seed was another: it did not fail."),
      std::string::npos)
      << text;
}

TEST(Explore, NeedsAScenario) { EXPECT_THROW(explore({}, {}), std::invalid_argument); }

}  // namespace
}  // namespace weir::simulation_test
