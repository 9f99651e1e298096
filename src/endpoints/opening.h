#pragma once

#include <weir/address.h>
#include <weir/callback.h>
#include <weir/event_loop.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/resolve.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "operation.h"

namespace weir::inline v0::detail {

/// What `make` makes. Throws what it throws, and std::invalid_argument if it makes nothing.
template <class Held>
Held made_by(UniqueFunction<Held()>& make) {
  Held protocol = make();
  if (!protocol) throw std::invalid_argument("the protocol factory returned no protocol");
  return protocol;
}

/// What opening a connection and opening a server have in common: names to resolve, a failure to
/// tell, and that it may be cancelled.
class Opening : public Operation {
 public:
  /// What cancels it. Everything it opened is closed by then. [N9]
  FutureState::CancelHook cancel_hook();

  /// Fails, but from the loop: for what is found wrong in the opener's call itself.
  void refuse(std::exception_ptr error);

 protected:
  using Resolved = UniqueFunction<void(std::vector<Address>)>;

  explicit Opening(Loop& loop) : Operation(loop), context_(loop.current_context()) {}

  /// Ends it with a failure; `this` is gone when it returns.
  virtual void fail(std::exception_ptr error) = 0;
  /// Ends it without a word; `this` is gone when it returns.
  virtual void cancel();
  /// What cancelling its future does: as FutureState::CancelHook.
  virtual bool stop() {
    cancel();
    return false;
  }

  /// Calls `then`, later, with the addresses of `host`, of which there is at least one, or fails.
  void resolve(std::string_view host, std::uint16_t port, const ResolveOptions& options,
               Resolved then);

  /// Calls `then(protocol)` with what the user's factory makes, or fails with what it throws. [B11] The
  /// factory may even cancel what it is called for.
  template <class Held, class Then>
  void make_protocol(UniqueFunction<Held()> make, Then then) {
    Loop& owner = loop();
    const SlotRef alive = name();
    try {
      Held protocol = made_by(make);
      if (alive.alive()) then(std::move(protocol));
    } catch (...) {
      const std::exception_ptr error = std::current_exception();
      if (alive.alive()) fail(error);
      owner.take_if_fatal(error);
    }
  }

  /// Calls `act(self)` from the loop, in the context in which this was started. [L19]
  template <class Self, class Act>
  static void later(Self& self, Act act) {
    self.loop().schedule(unless_over(self, std::move(act)), self.context_);
  }

 private:
  Future<std::vector<AddressInfo>> lookup_;
  std::shared_ptr<Context> context_;
};

}  // namespace weir::inline v0::detail
