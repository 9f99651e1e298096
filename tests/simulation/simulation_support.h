#pragma once

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Programs for simulated hosts, and protocols that keep what they hear.
namespace weir::simulation_test {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// One end of a connection, for a test to look at when it is over.
struct End {
  Transport transport;
  std::string received;
  bool made = false;
  bool ended = false;
  bool lost = false;
  CloseReason reason;
};

/// Tells `end`, which outlives it.
class EndProtocol : public Protocol {
 public:
  explicit EndProtocol(End& end, bool echoes = false) : end_(end), echoes_(echoes) {}

  void connection_made(Transport transport) override {
    end_.transport = std::move(transport);
    end_.made = true;
  }
  void data_received(std::span<const std::byte> data) override {
    end_.received += as_text(data);
    if (echoes_) end_.transport.write(data);
  }
  bool eof_received() override {
    end_.ended = true;
    return false;
  }
  void connection_lost(const CloseReason& reason) override {
    end_.lost = true;
    end_.reason = reason;
  }

 private:
  End& end_;
  bool echoes_;
};

/// Returns what it receives, and says so to nobody.
struct Echo : Protocol {
  void connection_made(Transport made) override { transport = std::move(made); }
  void data_received(std::span<const std::byte> data) override { transport.write(data); }
  void pause_writing() override { transport.pause_reading(); }
  void resume_writing() override { transport.resume_reading(); }
  Transport transport;
};

/// A program that serves `P` on `port`, on all addresses of its host.
template <class P>
SimulatedNetwork::Program serving(std::uint16_t port, ServerOptions options = {}) {
  return [port, options](EventLoop& loop) {
    auto server = create_server<P>(loop, Hosts{"0.0.0.0", "::"}, port, options);
    // Nobody else keeps it.
    server.add_done_callback([server](const auto&) { static_cast<void>(server); });
  };
}

inline std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t index = 0; index < size; ++index) {
    text[index] = static_cast<char>('a' + (index * 7 + index / 251) % 26);
  }
  return text;
}

}  // namespace weir::simulation_test
