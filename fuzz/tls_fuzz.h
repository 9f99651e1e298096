#pragma once

#include <weir/buffer.h>
#include <weir/tls.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tls_engine.h"

// What the fuzzers of TlsEngine have in common.
namespace weir::fuzz {

using detail::ConstBytes;
using detail::TlsEngine;
using Status = TlsEngine::Status;

/// Ends the program, as a finding, unless `holds`.
inline void require(bool holds, const char* rule) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", rule);
  std::abort();
}

/// From here on OpenSSL's random numbers are the same ones, so that an input says all of what happens.
void restart_randomness();

/// Contexts with a certificate of a server or of a client, which are made once. Nobody resumes, for that
/// would let an input depend on those before.
const TlsContext& server_context(TlsVersion version);
const TlsContext& client_context(TlsVersion version);

/// The bytes of an input as decisions; zeros once they are used up.
class Script {
 public:
  explicit Script(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  bool is_over() const { return rest_.empty(); }
  std::size_t byte() {
    if (rest_.empty()) return 0;
    const std::size_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  ConstBytes bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return std::as_bytes(taken);
  }

 private:
  std::span<const std::uint8_t> rest_;
};

/// A TlsEngine, and what must be true of it at any time.
class End {
 public:
  explicit End(const TlsContext& context) : engine_(context, "localhost", output_) {}

  TlsEngine& engine() { return engine_; }
  const std::string& received() const { return received_; }
  std::vector<std::byte> take_output() { return std::exchange(output_, {}); }
  bool has_output() const { return !output_.empty(); }
  /// How much read() is asked for at once.
  void set_buffer_size(std::size_t size) { buffer_size_ = std::max<std::size_t>(size, 1); }

  void take(ConstBytes bytes) {
    input_.assign(bytes.begin(), bytes.end());
    engine_.feed(input_);
    go_on();
  }

  void go_on() {
    if (!handshake_done_) {
      check(engine_.handshake());
      if (!engine_.is_handshake_done()) return;
      handshake_done_ = true;
    }
    std::vector<std::byte> buffer(buffer_size_);
    Status status = Status::ok;
    while (status == Status::ok) {
      const TlsEngine::Read got = engine_.read(buffer);
      require(got.count <= buffer.size(), "read() stays in its buffer");
      require(got.status != Status::ok || got.count == buffer.size(), "ok means a full buffer");
      received_ += as_text(ConstBytes(buffer).first(got.count));
      status = got.status;
      if (status != Status::ok) check(status);
    }
    require(!engine_.has_pending(), "nothing is pending behind the last read");
  }

  /// Returns whether it was taken.
  bool write(ConstBytes data) {
    const bool was_shut_down = engine_.is_shut_down();
    const std::size_t before = output_.size();
    const Status status = engine_.write(data);
    require((status == Status::failed) == (engine_.failure() != nullptr), "failed means a failure");
    require(status != Status::ended || was_shut_down, "ended means shut_down()");
    require(status != Status::ok || output_.size() > before || data.empty(),
            "what is taken is sent");
    return status == Status::ok;
  }

 private:
  void check(Status status) {
    require((status == Status::failed) == (engine_.failure() != nullptr), "failed means a failure");
    if (status != Status::ok)
      require(engine_.rest().empty(), "wants_input means that none is left");
    if (status == Status::failed) look_at_failure();
    if (status == Status::ended) {
      require(engine_.is_peer_shut_down() || engine_.is_shut_down(), "ended means close_notify");
    }
    require(!received_at_end_ || *received_at_end_ == received_.size(), "nothing follows the end");
    if (status == Status::ended || status == Status::failed) received_at_end_ = received_.size();
  }

  void look_at_failure() {
    try {
      std::rethrow_exception(engine_.failure());
    } catch (const TlsError& error) {
      require(error.code().value() != 0, "a failure has a code");
      require(!std::string_view(error.what()).empty(), "a failure has words");
    }
  }

  std::vector<std::byte> output_;
  TlsEngine engine_;
  std::vector<std::byte> input_;
  std::string received_;
  std::optional<std::size_t> received_at_end_;
  std::size_t buffer_size_ = 4096;
  bool handshake_done_ = false;
};

/// Carries what both send until nobody has more.
inline void settle(End& one, End& other) {
  while (one.has_output() || other.has_output()) {
    if (one.has_output()) other.take(one.take_output());
    if (other.has_output()) one.take(other.take_output());
  }
}

}  // namespace weir::fuzz
