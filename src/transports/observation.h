#pragma once

#include <weir/observer.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

#include "loop.h"

namespace weir::inline v0::detail {

/// The observers of one transport.
class Observation {
 public:
  /// Null if nobody observes it, so that those transports pay for a null pointer only.
  static std::unique_ptr<Observation> of(Loop& loop, const ObservedTransport& transport);

  void begins(const Occurrence& occurrence) noexcept {
    for (const auto& observer : observers_) observer->begins(occurrence);
  }
  /// The last that was told of a begin is the first to be told of the end.
  void ends(const Occurrence& occurrence) noexcept {
    for (const auto& observer : std::views::reverse(observers_)) observer->ends(occurrence);
  }

 private:
  std::vector<std::unique_ptr<TransportObserver>> observers_;
};

/// A call of a transport, told to its observers from here to the end of the scope.
class ObservedCall {
 public:
  ObservedCall(Observation* observation, Activity activity, std::span<const std::byte> data = {})
      : observation_(observation) {
    if (observation_ != nullptr) [[unlikely]] {
      begin({.activity = activity, .data = data, .size = data.size()});
    }
  }
  ObservedCall(Observation* observation, const Occurrence& call) : observation_(observation) {
    if (observation_ != nullptr) [[unlikely]]
      begin(call);
  }
  ObservedCall(const ObservedCall&) = delete;
  ObservedCall& operator=(const ObservedCall&) = delete;
  ~ObservedCall() {
    if (observation_ != nullptr) [[unlikely]]
      end();
  }

 private:
  void begin(const Occurrence& call);
  void end() noexcept;

  Observation* observation_;
  std::optional<Occurrence> call_;
  int exceptions_ = 0;  ///< that were on their way before
};

}  // namespace weir::inline v0::detail
