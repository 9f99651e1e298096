#pragma once

#include <weir/callback.h>
#include <weir/event_loop.h>
#include <weir/future.h>

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace weir::inline v0::detail {

/// How an opener reports back: one of these is called, once, from the loop.
template <class Handle>
struct OpenSink {
  UniqueFunction<void(Handle)> connected;
  UniqueFunction<void(std::exception_ptr)> failed;
  /// Instead, for an opener whose cancellation takes its time: that it is over.
  UniqueFunction<void()> cancelled{};
};

/// Runs `start(make_protocol, sink)`, which returns what cancels it, and makes a future of its outcome.
/// Kind says what is opened:
///
///     Handle          the name of the transport, as its user holds it
///     Held            its protocol, as the transport holds it
///     Opened<P>       what the future gives: {transport, protocol}
///     made_of(made)   what the user's factory made, as {typed, any}: a shared_ptr<P> and a Held
template <class Kind, class Factory, class Start>
auto open_transport(EventLoop& loop, Factory&& factory, Start&& start) {
  using Made =
      decltype(Kind::made_of(std::declval<std::invoke_result_t<std::decay_t<Factory>&>>()));
  using P = typename decltype(Made::typed)::element_type;
  using Opened = typename Kind::template Opened<P>;
  Future<Opened> future(loop);
  auto made = std::make_shared<std::shared_ptr<P>>();
  UniqueFunction<typename Kind::Held()> make_protocol =
      [made, factory = std::decay_t<Factory>(std::forward<Factory>(factory))]() mutable {
        auto protocol = Kind::made_of(factory());
        *made = std::move(protocol.typed);
        return std::move(protocol.any);
      };
  OpenSink<typename Kind::Handle> sink{
      [future, made](typename Kind::Handle transport) {
        if (!future.done()) future.set_result(Opened{transport, std::move(*made)});
      },
      [future](std::exception_ptr error) {
        if (!future.done()) future.set_exception(std::move(error));
      },
      [future] { FutureAccess::state(future)->cancelled_later(); }};
  auto cancel = start(std::move(make_protocol), std::move(sink));
  if (!future.done()) FutureAccess::state(future)->set_cancel_hook(std::move(cancel));
  return future;
}

}  // namespace weir::inline v0::detail
