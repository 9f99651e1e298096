#pragma once

#include <weir/simulation.h>

#include <map>
#include <memory>

#include "backend.h"
#include "result.h"
#include "simulated_local.h"
#include "simulated_signals.h"

namespace weir::inline v0::detail::simulated {

/// The pipes of the simulation: a table of the numbers of their ends. A number is never given twice.
class Pipes {
 public:
  Pipes(Host& host, Signals& signals) noexcept : host_(host), signals_(signals) {}

  SimulatedPipe make();
  /// See Backend::adopt_pipe().
  Result<std::unique_ptr<StreamChannel>> adopt(int number, PipeEnd end);
  /// True while a channel has it.
  bool owns(int number) const noexcept;

 private:
  struct End {
    std::shared_ptr<Socket> socket;  ///< null once it is a channel's
    PipeEnd end;
  };

  Host& host_;
  Signals& signals_;
  std::map<int, End> ends_;    ///< those that are open
  int next_number_ = 1 << 30;  ///< far above what a kernel gives
};

}  // namespace weir::inline v0::detail::simulated
