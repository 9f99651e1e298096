#pragma once

#include <weir/address.h>
#include <weir/event_loop.h>
#include <weir/transport.h>

#include <memory>
#include <string>
#include <system_error>

#include "backend.h"
#include "loop.h"

namespace weir::inline v0::detail {

/// Told of each connection that was accepted. The listener may be destroyed inside it.
class AcceptEvents {
 public:
  virtual void accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept = 0;

 protected:
  ~AcceptEvents() = default;
};

/// One listening socket of a server: what is accepted goes to its owner, what fails is reported. Out
/// of descriptors or memory, it waits a second before it accepts again. [V6, V7]
class Listener final : private ListenEvents {
 public:
  Listener(Loop& loop, std::unique_ptr<ListenChannel> channel, AcceptEvents& events)
      : loop_(loop), channel_(std::move(channel)), events_(events) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { retry_.cancel(); }

  std::error_code start(int backlog) noexcept;
  void stop() noexcept;
  /// Removes its path, if it has one that still leads to it; logs why if it cannot. [V15]
  void remove_path() noexcept;

  SocketView view() const;
  std::string name() const { return channel_->local_address().to_string(); }

 private:
  void on_accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept override;
  void on_accept_failed(std::error_code error) noexcept override;

  void pause(std::error_code error) noexcept;
  void resume() noexcept;
  void report(std::string message, std::error_code error) noexcept;

  Loop& loop_;
  std::unique_ptr<ListenChannel> channel_;
  AcceptEvents& events_;
  int backlog_ = 0;
  TimerHandle retry_;
};

}  // namespace weir::inline v0::detail
