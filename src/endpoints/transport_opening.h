#pragma once

#include <weir/callback.h>
#include <weir/detail/open_transport.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/future.h>

#include <exception>
#include <memory>
#include <utility>

#include "loop.h"
#include "opening.h"

namespace weir::inline v0::detail {

/// An opening of one transport, which its user knows as a Handle and which holds its protocol as a Held.
/// Once there is something to build it of:
///
///     build -> make the protocol -> start [-> TLS handshake] -> connection_made() -> connected
///
/// Each arrow but the first two is a turn of the loop, and any may be the last: see fail(), cancel().
template <class Handle, class Held>
class TransportOpening : public Opening {
 public:
  using MakeProtocol = UniqueFunction<Held()>;
  using Sink = OpenSink<Handle>;

  TransportOpening(Loop& loop, MakeProtocol make_protocol, Sink sink)
      : Opening(loop), make_protocol_(std::move(make_protocol)), sink_(std::move(sink)) {}

  /// Makes a Self and lets `start(self)` choose how it begins; what that throws it fails with. Returns
  /// what cancels it.
  template <class Self, class Start>
  static FutureState::CancelHook begin(EventLoop& loop, MakeProtocol make_protocol, Sink sink,
                                       Start start) {
    Loop& inner = Loop::of(loop);
    if (inner.is_closed()) {
      sink.failed(std::make_exception_ptr(WrongStateError("Event loop is closed")));
      return nullptr;
    }
    Self& opening =
        inner.own(std::make_unique<Self>(inner, std::move(make_protocol), std::move(sink)));
    try {
      start(opening);
    } catch (...) {
      opening.refuse(std::current_exception());
    }
    return opening.cancel_hook();
  }

 protected:
  Sink& sink() noexcept { return sink_; }

  /// Tells an opening, if it is not over, what became of its transport: that it is up, or why it is not.
  class Outcome {
   public:
    void operator()(const Handle& transport) const { (*this)(transport, nullptr); }
    void operator()(const Handle& transport, const std::exception_ptr& error) const {
      auto* const opening = static_cast<TransportOpening*>(name_.template get<Operation>());
      if (opening == nullptr) return;
      error == nullptr ? opening->succeed(transport) : opening->fail(error);
    }

   private:
    friend class TransportOpening;
    explicit Outcome(const SlotRef& name) noexcept : name_(name) {}

    SlotRef name_;
  };

  /// Starts the transport; it calls `outcome` after connection_made().
  virtual Handle start(Held protocol, Outcome outcome) = 0;
  /// Ends a transport that was started.
  virtual void abort(const Handle& transport) = 0;

  void build_later() {
    later(*this, [](TransportOpening& self) { self.build(); });
  }

  /// Sockets are closed first, then the failure is told. [N9]
  void fail(std::exception_ptr error) override {
    auto failed = std::move(sink_.failed);
    finish();
    failed(std::move(error));
  }

  /// A transport that has started gets both its callbacks, one that has not gets none. [B4]
  void cancel() override {
    abort(transport_);
    Opening::cancel();
  }

 private:
  void build() {
    make_protocol(std::move(make_protocol_), [this](Held protocol) {
      transport_ = start(std::move(protocol), Outcome(name()));
    });
  }

  void succeed(const Handle& transport) {
    auto connected = std::move(sink_.connected);
    finish();
    connected(transport);
  }

  MakeProtocol make_protocol_;
  Sink sink_;
  Handle transport_{};
};

}  // namespace weir::inline v0::detail
