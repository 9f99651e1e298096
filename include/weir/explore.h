#pragma once

#include <weir/export.h>
#include <weir/simulation.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

namespace weir::inline v0 {

struct ExploreOptions {
  /// How many seeds are tried, one after the other. If the environment has a WEIR_SEED, that one alone is.
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 1000;
  /// Of each network, but for the seed.
  SimulationOptions simulation{};
  /// How much of a failing run is in its picture: the last callbacks, calls and faults.
  std::size_t most_entries = 200;
};

/// A scenario has failed: what() has the seed, the reason, and the picture of what happened.
class WEIR_API ScenarioFailed : public std::runtime_error {
 public:
  ScenarioFailed(std::uint64_t seed, std::string reason, std::string picture);
  ~ScenarioFailed() override;

  std::uint64_t seed() const noexcept { return seed_; }
  /// What the scenario threw, in words; or which rule of the contract a transport broke.
  const std::string& reason() const noexcept { return reason_; }
  /// A sequence diagram, as of to_sequence_diagram().
  const std::string& picture() const noexcept { return picture_; }

 private:
  std::uint64_t seed_;
  std::string reason_;
  std::string picture_;
};

/// Runs `scenario` in a new SimulatedNetwork for each seed, until it fails: by an exception of its own, or because
/// a transport breaks the contract. Then it is run once more with that seed, is drawn this time, and
/// ScenarioFailed is thrown.
///
///     weir::explore({.seeds = 10'000}, [](weir::SimulatedNetwork& network) {
///       ...
///       if (!network.run_until([&] { return done; })) throw std::runtime_error("no reply");
///     });
///
/// A scenario makes everything it needs anew, and looks at nothing but its network, or a second run is another.
/// Throws WrongStateError if a loop runs on this thread.
WEIR_API void explore(const ExploreOptions& options,
                      const std::function<void(SimulatedNetwork&)>& scenario);

}  // namespace weir::inline v0
