#pragma once

#include <weir/error.h>
#include <weir/observer.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "loop.h"
#include "observation.h"

namespace weir::inline v0::detail {

/// The life of a transport of any kind, and the only place that calls user code: connection_made() ...
/// connection_lost(), each once, in order, whatever the callbacks throw.
///
///     state     entered by                        what may still happen
///     open      start                             everything
///     flushing  close() with bytes unsent         writing goes on until they are sent [S15, S28]
///     doomed    close(), abort(), an error        connection_lost(), scheduled
///     lost      connection_lost() is called       nothing
class Lifecycle {
 public:
  enum class State : std::uint8_t { open, flushing, doomed, lost };

  /// `transport` is whose life it is; it gets a name.
  Lifecycle(Loop& loop, TransportKind kind, void* transport,
            std::shared_ptr<AbstractProtocol> protocol)
      : loop_(loop),
        protocol_(std::move(protocol)),
        name_(loop.slots().acquire(transport)),
        kind_(kind) {}

  /// From here on the loop's observers see what passes; `transport` is whose life it is.
  void observe(const ObservedTransport& transport) {
    observation_ = Observation::of(loop_, transport);
  }
  /// Null if nobody does.
  Observation* observation() const noexcept { return observation_.get(); }

  /// What handles hold.
  const SlotRef& name() const noexcept { return name_; }
  /// From here on handles find nothing. Before any part of the transport goes: what is the user's may
  /// use a handle while it is destroyed. May be repeated.
  void retire_name() noexcept {
    if (name_.alive()) loop_.slots().release(*name_.slot);
  }
  /// Another name for `transport`: handles of the old one find nothing from here on.
  void rename(void* transport) {
    retire_name();
    name_ = loop_.slots().acquire(transport);
  }

  Loop& loop() noexcept { return loop_; }
  State state() const noexcept { return state_; }
  bool closing() const noexcept { return state_ != State::open; }
  /// True while writes are taken and flow control is told: open or flushing.
  bool writable() const noexcept { return state_ < State::doomed; }

  void set_flushing() noexcept { state_ = State::flushing; }
  /// False if it was doomed before: the first cause wins. [B5]
  bool doom(CloseReason reason) noexcept;

  const std::shared_ptr<AbstractProtocol>& protocol() const noexcept { return protocol_; }
  /// The old protocol goes later, from the loop: it may be the caller. [B12]
  void replace_protocol(std::shared_ptr<AbstractProtocol> protocol);

  // A callback of the protocol's is named by what its observers are told, to which it may add what is known
  // in the end.

  /// Runs `callback`, which is connection_made() of the kind. What it throws is reported; the
  /// connection stays. [B9]
  template <class F>
  void connection_made(F&& callback) noexcept {
    Occurrence made{.activity = Activity::connection_made, .protocol = protocol_.get()};
    run(made, callback);
  }
  /// The same, where what it throws ends the connection, as guard() says. [T29]
  template <class F>
  [[nodiscard]] CloseReason guarded_connection_made(F&& callback) noexcept {
    Occurrence made{.activity = Activity::connection_made, .protocol = protocol_.get()};
    return guard(made, callback);
  }
  /// Calls connection_lost() with the reason. [B2, B10]
  void connection_lost() noexcept;
  /// Lets the protocol go, once everything else is cleaned up. [B7]
  void drop_protocol() noexcept { protocol_.reset(); }

  /// Calls pause_writing() or resume_writing(). What they throw is reported. [F16]
  void pause_writing() noexcept;
  void resume_writing() noexcept;

  /// Runs `callback`, which calls the protocol. What it throws is reported as "Exception in callback", and
  /// the transport stays as it is. [L20, I8, D13]
  template <class F>
  void run(Occurrence& what, F&& callback) noexcept {
    if (auto thrown = call(what, callback)) {
      report("Exception in callback " + name_of(what.activity), thrown);
    }
  }

  /// Runs `callback`, which calls the protocol. What it throws is returned, to end the connection and be the
  /// reason; report_fatal() is then due. Nothing was thrown, or only what leaves the loop: an empty one.
  /// [S20, S21, T29, C10]
  template <class F>
  [[nodiscard]] CloseReason guard(Occurrence& what, F&& callback) noexcept {
    std::exception_ptr thrown = call(what, callback);
    if (thrown == nullptr) return {};
    failed_ = what.activity;
    return CloseReason(std::move(thrown));
  }
  /// Tells the exception handler of what guard() returned, if that was the last: "Fatal error: protocol.... call
  /// failed.", over TLS in other words; not of an error of the system. Once the connection is doomed: the handler
  /// may close it, and must not become the first cause. [S19-S21, T29, B5]
  void report_fatal(const CloseReason& reason) noexcept;

  /// Tells the exception handler, with the transport and its protocol.
  void report(std::string message, const std::exception_ptr& thrown) noexcept;

 private:
  /// The one place where user code runs and its exceptions are caught.
  template <class F>
  std::exception_ptr call(Occurrence& what, F& callback) noexcept {
    const Loop::UserCode inside(loop_);
    std::optional<TimePoint> begin;
    if (loop_.debug()) begin = Loop::steady_now();
    if (observation_ != nullptr) [[unlikely]]
      observation_->begins(what);
    std::exception_ptr thrown;
    try {
      callback();
    } catch (...) {
      what.threw = true;
      thrown = std::current_exception();
      if (loop_.take_if_fatal(thrown)) thrown = nullptr;
    }
    if (observation_ != nullptr) [[unlikely]] {
      what.exception = thrown;
      observation_->ends(what);
    }
    if (begin) loop_.warn_if_slow(*begin, name_of(what.activity).c_str());
    return thrown;
  }

  /// "data_received()".
  static std::string name_of(Activity activity) { return std::string(to_string(activity)) + "()"; }

  Loop& loop_;
  std::shared_ptr<AbstractProtocol> protocol_;
  CloseReason reason_;
  SlotRef name_;
  std::unique_ptr<Observation> observation_;
  std::optional<Activity> failed_;  ///< and not reported yet
  TransportKind kind_;
  State state_ = State::open;
};

}  // namespace weir::inline v0::detail
