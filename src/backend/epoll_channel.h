#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <system_error>

#include "epoll_backend.h"
#include "fd.h"

namespace weir::inline v0::detail {

/// After these a short receive proves nothing: it stops at an urgent mark, and no edge follows a hang-up.
inline constexpr std::uint32_t drain_events = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/// What channels of streams and of datagrams share: a descriptor, registered edge-triggered, and what is
/// known of it.
class EpollChannel : protected Source {
 protected:
  EpollChannel(EpollBackend& backend, Fd descriptor);
  ~EpollChannel() override { release(); }

  void begin_receiving() noexcept;
  void begin_sending() noexcept;
  void end() noexcept;
  /// Asks the kernel to tell what arrives, if it does not yet.
  virtual void watch_input() noexcept;
  /// Asks it no more.
  void ignore_input() noexcept;
  /// Whether the kernel is to tell of room to send; from begin_sending() on it does.
  void want_output(bool wanted) noexcept;
  /// Nothing more comes after this error: neither receiving nor sending goes on.
  void stop() noexcept { receiving_ = sending_ = false; }

  std::size_t deliver() noexcept override;
  /// It was the program that closed ours: what is left has no descriptor.
  void descriptor_reused() noexcept override;
  /// One receive event, at most. Only while `receiving_` and `readable_`.
  virtual void receive() noexcept = 0;
  /// Sends what is unsent, once. Only while `sending_` and `writable_`.
  virtual void send_queue() noexcept = 0;
  /// The kernel refuses to watch the descriptor.
  virtual void tell_failure(std::error_code error) noexcept = 0;
  virtual void tell_closed() noexcept = 0;
  /// What the kernel is to tell as input.
  virtual std::uint32_t input_interest() const noexcept = 0;

 private:
  std::uint32_t output_interest() const noexcept { return interest_ & EPOLLOUT; }
  void want(std::uint32_t events) noexcept;
  void release() noexcept;

  Fd owned_;
  std::uint32_t interest_ = 0;    ///< what the kernel was asked for; 0: nothing ever
  std::uint32_t stopped_in_ = 0;  ///< the last turn in which it did not receive yet
  int failure_ = 0;               ///< errno of the registration, told by deliver()
  bool closed_ = false;

 protected:
  bool receiving_ = false;     ///< asked to
  bool sending_ = false;       ///< asked to
  bool readable_ = false;      ///< a receive may bring something
  bool writable_ = false;      ///< a send may take something
  bool drain_ = false;         ///< only would-block tells that nothing is left to receive
  bool always_ready_ = false;  ///< a device of which the kernel tells nothing
};

}  // namespace weir::inline v0::detail
