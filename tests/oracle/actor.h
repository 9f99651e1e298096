#pragma once

#include <string>

#include "scenario.h"

namespace weir::oracle {

/// Something in a scenario that has verbs of its own, besides connections, the listener, the loop and
/// futures.
class Actor {
 public:
  explicit Actor(std::string name) : name_(std::move(name)) {}
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  virtual ~Actor() = default;

  virtual void verb(const Words& words) = 0;
  const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
};

[[noreturn]] void unknown_verb(const Words& words);
/// The words from the `first` on, with a space between.
std::string text_of(const Words& words, std::size_t first);

}  // namespace weir::oracle
