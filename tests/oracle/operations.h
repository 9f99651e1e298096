#pragma once

#include <weir/weir.h>

#include <functional>
#include <string>
#include <utility>

#include "runner.h"

namespace weir::oracle {

/// Tells the outcome of `future` as `actor`, under `name`: a text that `show` makes of it, what it
/// throws, or that it was cancelled; then does what the scenario wants then. On a closed loop, which
/// calls nothing, it throws at once.
template <class T, class Show>
void tell_outcome(Runner& runner, const std::string& actor, const std::string& name,
                  Future<T> future, Show show) {
  if (runner.loop().is_closed()) future.result();
  future.add_done_callback([&runner, actor, name, show](const Future<T>& done) {
    std::string text = "cancelled";
    if (!done.cancelled()) {
      text = done.exception() != nullptr ? "raised " + kind_of(done.exception()) : show(done);
    }
    runner.trace().add(actor, text.empty() ? name : name + ' ' + text);
    runner.act_for(actor, actor, name);
  });
  runner.keep_operation(name, [future] { future.cancel(); });
}

}  // namespace weir::oracle
