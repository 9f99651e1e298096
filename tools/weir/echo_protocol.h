// The server side of an echo connection, for everything here that serves one.
#pragma once

#include <weir/weir.h>
#include <cstdint>
#include <span>

namespace weir_tool {

/// How many connections an echo server has, and had.
struct EchoCounts {
  std::uint64_t open = 0;
  std::uint64_t total = 0;
};

/// Sends back what it receives, and receives no faster than it can send.
class EchoProtocol : public weir::Protocol {
 public:
  /// Keeps `counts` up to date; they must outlive the connection.
  explicit EchoProtocol(EchoCounts& counts) : counts_(counts) {}

  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    ++counts_.open;
    ++counts_.total;
  }
  void connection_lost(const weir::CloseReason&) override { --counts_.open; }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }
  void pause_writing() override { transport_.pause_reading(); }
  void resume_writing() override { transport_.resume_reading(); }

 private:
  EchoCounts& counts_;
  weir::Transport transport_;
};

}  // namespace weir_tool
