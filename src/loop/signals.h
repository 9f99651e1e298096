#pragma once

#include <weir/callback.h>

#include <map>
#include <memory>

#include "backend.h"

namespace weir::inline v0::detail {

class Loop;

/// The signals of the process that a loop handles: add_signal_handler(). [L33, L34]
///
/// What the system calls does nothing but write the signal's number into a pipe, which the loop watches.
/// The process has one set of dispositions, so one loop at a time owns the signals, from its first
/// handler to its last.
class Signals final : private WatchEvents {
 public:
  explicit Signals(Loop& loop) noexcept;
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  void add(int signal, Callback callback);
  bool remove(int signal);
  /// Removes all.
  void clear() noexcept;

 private:
  struct Handler;
  class Pipe;

  void on_readable() noexcept override;
  void on_writable() noexcept override {}

  void open();
  /// Back to the system's default. [L34]
  void give_back(int signal) noexcept;
  void close_if_unused() noexcept;

  Loop& loop_;
  std::map<int, std::shared_ptr<Handler>> handlers_;
  std::unique_ptr<Pipe> pipe_;
  std::unique_ptr<DescriptorWatch> watch_;
};

}  // namespace weir::inline v0::detail
