#pragma once

#include <string>

#include "runner.h"

namespace weir::oracle {

/// Tells how opening ends, as `actor` + `part`, in the words of `verb`: connected, connect failed, ...
template <class Opening>
void tell_opening(Runner& runner, const Opening& opening, const std::string& actor,
                  const std::string& verb, const std::string& part = {}) {
  const std::string done_word = verb + "ed";
  opening.add_done_callback([&runner, actor, part, verb, done_word](const auto& done) {
    if (done.cancelled()) {
      runner.trace().add(actor + part, verb + " cancelled");
    } else if (done.exception() != nullptr) {
      runner.trace().add(actor + part, verb + " failed " + kind_of(done.exception()));
    } else {
      runner.trace().add(actor + part, done_word);
    }
    runner.trace().count(actor, done_word);
  });
}

}  // namespace weir::oracle
