#pragma once

#include <weir/export.h>
#include <weir/observer.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace weir::inline v0 {

/// What a transport did, or a protocol was allowed to see, against a rule of docs/contract.md.
struct ContractViolation {
  std::string rule;  ///< its id: "S8"
  std::string what;  ///< in a sentence, with the sizes and marks that count
  /// Which transport, in words: kind, number in the order they were made, addresses.
  std::string transport{};
  /// The last of what passed between it and its protocol, oldest first; a call within a callback is indented.
  std::vector<std::string> history{};
};

/// All of it, in several lines.
WEIR_API std::string to_string(const ContractViolation& violation);

/// Watches whether transports keep to the contract: the order of callbacks, each as often as it may come and
/// from where; pauses and resumes against the marks; no data while paused, none after the end; reasons that
/// are the first cause. Chapters B, S, U, F, D and P, as far as they show at a single transport.
///
///     weir::EventLoop loop({.observers = {std::make_shared<weir::ContractChecker>()}});
///
/// Setting WEIR_CHECK=1 in the environment does this for every loop of a program. It checks any transport that
/// tells a TransportObserver what happens, not only those of this library: see observe().
///
/// Threads: one; loops on several threads need one each.
class WEIR_API ContractChecker final : public Observer {
 public:
  using Handler = std::function<void(const ContractViolation&)>;

  /// `handler` is told of each violation, at the place where it happens; it may throw nothing. By default it
  /// is written to standard error and the program aborted, so that a debugger shows the place.
  explicit ContractChecker(Handler handler = {});
  ~ContractChecker() override;

  std::unique_ptr<TransportObserver> observe(const EventLoop& loop,
                                             const ObservedTransport& transport) override;
  /// The same, for a transport of your own that belongs to no loop.
  std::unique_ptr<TransportObserver> observe(const ObservedTransport& transport);

 private:
  class Shared;
  class TransportChecker;

  std::shared_ptr<Shared> shared_;
};

}  // namespace weir::inline v0
