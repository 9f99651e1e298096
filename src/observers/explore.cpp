#include <weir/contract_checker.h>
#include <weir/explore.h>
#include <weir/trace.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline v0 {
namespace {

using Scenario = std::function<void(SimulatedNetwork&)>;

/// Why a run of the scenario failed; nothing if it did not.
std::optional<std::string> failure_of(const SimulationOptions& options, const Scenario& scenario,
                                      std::vector<std::shared_ptr<Observer>> observers) {
  std::optional<std::string> failure;
  // The first violation counts: what follows, the scenario's own failure too, may come of it.
  observers.push_back(std::make_shared<ContractChecker>([&](const ContractViolation& violation) {
    if (!failure) failure = to_string(violation);
  }));
  SimulatedNetwork network(options, std::move(observers));
  try {
    scenario(network);
  } catch (const std::exception& error) {
    if (!failure) failure = error.what();
  } catch (...) {
    if (!failure) failure = "an exception that is no std::exception";
  }
  return failure;
}

[[noreturn]] void fail(const SimulationOptions& simulation, const ExploreOptions& options,
                       const Scenario& scenario, std::string reason) {
  const auto trace = std::make_shared<Trace>(TraceOptions{.most_entries = options.most_entries});
  const auto again = failure_of(simulation, scenario, {trace});
  if (again != reason) {
    reason += "\nA second run with that seed was another: it " +
              (again ? "failed by: " + *again : std::string("did not fail")) +
              ". The scenario looks at something that is not its network.";
  }
  throw ScenarioFailed(simulation.seed, std::move(reason), to_sequence_diagram(*trace));
}

/// That of the environment.
std::optional<std::uint64_t> given_seed() {
  const char* text = std::getenv("WEIR_SEED");
  if (text == nullptr || *text == '\0') return std::nullopt;
  char* end = nullptr;
  const std::uint64_t seed = std::strtoull(text, &end, 0);
  if (*end != '\0') throw std::invalid_argument(std::string("WEIR_SEED is no number: ") + text);
  return seed;
}

}  // namespace

ScenarioFailed::ScenarioFailed(std::uint64_t seed, std::string reason, std::string picture)
    : std::runtime_error("seed " + std::to_string(seed) + ": " + reason + "\n\n" + picture +
                         "\nWEIR_SEED=" + std::to_string(seed) +
                         " in the environment runs it alone."),
      seed_(seed),
      reason_(std::move(reason)),
      picture_(std::move(picture)) {}

ScenarioFailed::~ScenarioFailed() = default;

void explore(const ExploreOptions& options, const Scenario& scenario) {
  if (!scenario) throw std::invalid_argument("the scenario is empty");
  const auto only = given_seed();
  const std::uint64_t first = only.value_or(options.first_seed);
  const std::uint64_t count = only ? 1 : options.seeds;
  for (std::uint64_t number = 0; number < count; ++number) {
    SimulationOptions simulation = options.simulation;
    simulation.seed = first + number;
    if (auto reason = failure_of(simulation, scenario, {})) {
      fail(simulation, options, scenario, std::move(*reason));
    }
  }
}

}  // namespace weir::inline v0
