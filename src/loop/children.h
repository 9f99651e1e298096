#pragma once

#include <weir/detail/process_status.h>

#include <memory>
#include <optional>
#include <system_error>

#include "backend.h"
#include "loop.h"
#include "spawn.h"

namespace weir::inline v0::detail {

/// Told how a child ends.
class ChildEvents {
 public:
  /// It has exited, and is reaped. Once, from the loop. [P7]
  virtual void on_exited() noexcept = 0;

 protected:
  ~ChildEvents() = default;
};

/// A child process: waits for its exit, of no other process and without a signal handler, and reaps it
/// on the loop's thread. No other thread signals it either, so no signal ever goes to a process that got
/// its number later. [P14, P21, O4]
class Child final : private WatchEvents {
 public:
  /// Takes over `spawned`, which is yet to be reaped.
  Child(Loop& loop, Spawned spawned, ChildEvents& events);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// One that still runs is killed, and its end waited for: no zombie remains. [P20]
  ~Child();

  /// Once. Throws std::system_error if nothing can wait for it.
  void start_waiting();

  /// Its number, and how it ended: its exit code, or minus the signal that killed it. [P11]
  const std::shared_ptr<ProcessStatus>& status() const noexcept { return status_; }
  bool exited() const noexcept { return status_->returncode.has_value(); }

  /// Nothing happens once it has exited. [P14]
  std::error_code send_signal(int signal) noexcept;

 private:
  enum class Wait : bool { no, until_exit };

  void on_readable() noexcept override { exit_noticed(); }
  void on_writable() noexcept override {}
  void start_waiting_thread();
  void exit_noticed() noexcept;
  /// Learns how it ended, if it did.
  void reap(Wait wait) noexcept;
  /// False if somebody else has reaped it, or it is the child of the process we were forked from. [O6]
  bool is_ours() const noexcept;

  Loop& loop_;
  ChildEvents& events_;
  SlotRef name_;
  std::shared_ptr<ProcessStatus> status_;
  Fd pidfd_;
  std::unique_ptr<DescriptorWatch> watch_;  ///< null if a thread waits instead
};

}  // namespace weir::inline v0::detail
