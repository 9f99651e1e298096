#pragma once

#include <weir/error.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <cstdint>
#include <exception>
#include <optional>

#include "loop.h"

namespace weir::inline v0::detail {

/// The life of a connection, and the only place that calls user code: connection_made() ...
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

  Lifecycle(Loop& loop, AnyProtocol protocol) noexcept
      : loop_(loop), protocol_(std::move(protocol)) {}

  Loop& loop() noexcept { return loop_; }
  State state() const noexcept { return state_; }
  bool closing() const noexcept { return state_ != State::open; }
  /// True while writes are taken and flow control is told: open or flushing.
  bool writable() const noexcept { return state_ < State::doomed; }

  void set_flushing() noexcept { state_ = State::flushing; }
  /// False if it was doomed before: the first cause wins. [B5]
  bool doom(CloseReason reason) noexcept;

  const AnyProtocol& protocol() const noexcept { return protocol_; }
  /// The old protocol goes later, from the loop: it may be the caller. [B12]
  void replace_protocol(AnyProtocol protocol);

  /// Calls connection_made(). What it throws is reported; the connection stays. [B9]
  void connection_made(Transport transport) noexcept;
  /// Calls connection_lost() with the reason. [B2, B10]
  void connection_lost(Transport transport) noexcept;
  /// Lets the protocol go, once everything else is cleaned up. [B7]
  void drop_protocol() noexcept { protocol_ = AnyProtocol(); }

  /// Calls pause_writing() or resume_writing(). What they throw is reported. [F16]
  void pause_writing(Transport transport) noexcept;
  void resume_writing(Transport transport) noexcept;

  /// Runs `callback`, which calls into the protocol. What it throws ends the connection: reported as
  /// "Fatal error: `name` call failed.", unless it is an error of the system, and returned to be the
  /// reason. Nothing was thrown, or only what leaves the loop: an empty one. [S19-S21, C10]
  template <class F>
  [[nodiscard]] CloseReason guard(Transport transport, const char* name, F&& callback) noexcept {
    std::exception_ptr thrown = call(name, callback);
    return thrown == nullptr ? CloseReason() : fatal(transport, name, std::move(thrown));
  }

 private:
  /// The one place where user code runs and its exceptions are caught.
  template <class F>
  std::exception_ptr call(const char* name, F& callback) noexcept {
    std::optional<TimePoint> begin;
    if (loop_.debug()) begin = Loop::steady_now();
    std::exception_ptr thrown;
    try {
      callback();
    } catch (...) {
      thrown = std::current_exception();
      if (loop_.take_if_fatal(thrown)) thrown = nullptr;
    }
    if (begin) loop_.warn_if_slow(*begin, name);
    return thrown;
  }

  CloseReason fatal(Transport transport, const char* name, std::exception_ptr thrown) noexcept;
  void report(Transport transport, std::string message, const std::exception_ptr& thrown) noexcept;

  Loop& loop_;
  AnyProtocol protocol_;
  CloseReason reason_;
  State state_ = State::open;
};

}  // namespace weir::inline v0::detail
