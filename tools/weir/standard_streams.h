// Standard input and output as an event loop wants them: never waiting, in bounded pieces.
#pragma once

#include <weir/weir.h>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "descriptor_watch.h"

namespace weir_tool {

/// Standard input, read in pieces while it is started.
class StandardInput {
 public:
  struct Events {
    std::function<void(std::span<const std::byte>)> received;
    std::function<void()> ended;
    std::function<void(std::error_code)> failed;
  };

  StandardInput(weir::EventLoop& loop, Events events);

  /// Nothing once it has ended or failed.
  void start();
  void stop() { watch_.stop(); }
  bool ended() const { return ended_; }

 private:
  void read_some();

  Events events_;
  DescriptorWatch watch_;
  std::vector<std::byte> buffer_;
  bool ended_ = false;
};

/// Standard output, with a queue: it takes everything at once, and tells when to send no more.
class StandardOutput {
 public:
  struct Events {
    std::function<void()> drained;  // the queue is short again
    std::function<void()> closed;   // after close(): all is written
    std::function<void(std::error_code)> failed;
  };

  StandardOutput(weir::EventLoop& loop, Events events);

  void write(std::span<const std::byte> data);
  /// True while the queue is long: whoever writes should wait for `drained`.
  bool full() const { return queued() >= high_water; }
  /// Closes it once all is written, so that its reader sees the end.
  void close();

 private:
  static constexpr std::size_t high_water = std::size_t{256} * 1024;
  static constexpr std::size_t low_water = std::size_t{64} * 1024;

  std::size_t queued() const { return queue_.size() - written_; }
  std::ptrdiff_t write_piece(std::span<const char> piece) const;
  void write_some();
  void close_now() const;

  Events events_;
  DescriptorWatch watch_;
  bool is_socket_;
  std::string queue_;
  std::size_t written_ = 0;  // of the queue
  bool closing_ = false;
  bool failed_ = false;
};

}  // namespace weir_tool
