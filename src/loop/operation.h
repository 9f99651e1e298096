#pragma once

#include <utility>

#include "loop.h"

namespace weir::inline v0::detail {

/// Work that takes several turns of the loop, such as opening a connection. The loop owns it.
///
/// Its callbacks know it by name, so that they do nothing once it is over: nobody has to take them
/// back when it is cancelled.
class Operation : public Owned {
 public:
  ~Operation() override { Operation::retire_name(); }

  void retire_name() noexcept override {
    if (name_.alive()) loop_.slots().release(*name_.slot);
  }

 protected:
  explicit Operation(Loop& loop) : loop_(loop), name_(loop.slots().acquire(this)) {}

  Loop& loop() const noexcept { return loop_; }
  SlotRef name() const noexcept { return name_; }

  /// The end: `this` is gone when it returns.
  void finish() noexcept { Loop::destroy(*this); }

  /// `act(self, ...)` as a callback, which does nothing once `self` is over.
  template <class Self, class Act>
  static auto unless_over(Self& self, Act act) {
    return [name = self.name_, act = std::move(act)](auto&&... arguments) mutable {
      if (auto* operation = name.template get<Operation>()) {
        act(static_cast<Self&>(*operation), std::forward<decltype(arguments)>(arguments)...);
      }
    };
  }

 private:
  Loop& loop_;
  SlotRef name_;
};

}  // namespace weir::inline v0::detail
