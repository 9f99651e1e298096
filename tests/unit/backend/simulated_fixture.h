#pragma once

#include <gtest/gtest.h>
#include <weir/address.h>
#include <weir/simulation.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"

// Users of the seam who write down what they are told, and a simulated backend to run them on.
namespace weir::test_backend {

using detail::Backend;
using detail::ConnectAttempt;
using detail::ConnectEvents;
using detail::ConnectStart;
using detail::ConnectStep;
using detail::ConstBytes;
using detail::ListenChannel;
using detail::ListenEvents;
using detail::ListenOptions;
using detail::make_simulated_backend;
using detail::SendResult;
using detail::StreamChannel;
using detail::StreamEvents;
using detail::TimePoint;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

using Trace = std::vector<std::string>;

inline ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::string text_of(ConstBytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += static_cast<char>(byte);
  return text;
}

inline std::string name_of(std::error_code error) {
  if (error == std::errc::connection_reset) return "reset";
  if (error == std::errc::broken_pipe) return "broken pipe";
  if (error == std::errc::connection_refused) return "refused";
  return error.message();
}

/// The user of a stream: writes down its events in a trace, and queues what is to be sent.
class User final : public StreamEvents {
 public:
  User(std::string name, Trace& trace, std::unique_ptr<StreamChannel> taken)
      : channel(std::move(taken)), name_(std::move(name)), trace_(trace) {
    channel->attach(*this);
  }

  std::optional<std::span<std::byte>> receive_buffer() noexcept override {
    if (in_receive_buffer) in_receive_buffer();
    if (refuse) return std::nullopt;
    return std::span(own_buffer);
  }
  bool has_own_buffer() const noexcept override { return !own_buffer.empty(); }
  void on_received(ConstBytes bytes) noexcept override {
    ++receive_events;
    last = bytes;
    received += text_of(bytes);
    note("received " + text_of(bytes));
    if (in_received) in_received();
  }
  void on_eof() noexcept override { note("eof"); }
  std::size_t unsent(std::span<ConstBytes> pieces) noexcept override {
    if (queue.empty()) return 0;
    pieces[0] = bytes_of(queue);
    return 1;
  }
  void on_sent(std::size_t count) noexcept override {
    queue.erase(0, count);
    note("sent " + std::to_string(count));
    if (in_sent) in_sent();
  }
  void on_failed(std::error_code error) noexcept override { note("failed " + name_of(error)); }
  void on_closed() noexcept override {
    note("closed");
    if (in_closed) in_closed();
  }

  /// Sends what goes at once, and the rest later.
  void send(std::string_view text) {
    const ConstBytes piece = bytes_of(text);
    const SendResult result = channel->try_send({&piece, 1});
    if (result.error) return note("send: " + name_of(*result.error));
    queue = text.substr(result.sent);
    if (!queue.empty()) channel->start_sending();
  }

  /// Leaves it to the channel to send with what others send, if it would; else as send().
  void send_together(std::string_view text) {
    if (!channel->sends_together(text.size())) return send(text);
    queue = text;
    channel->start_sending();
  }

  std::unique_ptr<StreamChannel> channel;
  std::vector<std::byte> own_buffer;
  std::string received;
  std::string queue;
  ConstBytes last;
  int receive_events = 0;
  bool refuse = false;
  std::function<void()> in_receive_buffer;
  std::function<void()> in_received;
  std::function<void()> in_sent;
  std::function<void()> in_closed;

 private:
  void note(const std::string& what) { trace_.push_back(name_ + ": " + what); }

  std::string name_;
  Trace& trace_;
};

struct Accepting final : ListenEvents {
  void on_accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept override {
    channels.push_back(std::move(channel));
    peers.push_back(peer);
    if (in_accepted) in_accepted();
  }
  void on_accept_failed(std::error_code) noexcept override { ADD_FAILURE(); }

  std::vector<std::unique_ptr<StreamChannel>> channels;
  std::vector<Address> peers;
  std::function<void()> in_accepted;
};

struct Connecting final : ConnectEvents {
  void on_connected(std::unique_ptr<StreamChannel> connected) noexcept override {
    channel = std::move(connected);
    if (in_event) in_event();
  }
  void on_connect_failed(std::error_code reason) noexcept override {
    error = reason;
    if (in_event) in_event();
  }
  bool done() const { return channel != nullptr || error; }

  std::unique_ptr<StreamChannel> channel;
  std::error_code error;
  std::function<void()> in_event;
};

inline Address v4(std::uint16_t port) { return Address::ipv4({127, 0, 0, 1}, port); }
inline Address any_v4(std::uint16_t port) { return Address::ipv4({0, 0, 0, 0}, port); }
inline Address v6(std::uint16_t port) {
  return Address::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
}

/// A backend, run until nothing goes on in it.
class SimulatedBackendTest : public testing::Test {
 protected:
  explicit SimulatedBackendTest(const SimulationOptions& options = {})
      : backend(make_simulated_backend(options)) {}

  std::size_t turn() {
    backend->wait(backend->now() + seconds(1));
    return backend->dispatch();
  }
  void run_until(const std::function<bool()>& condition) {
    for (int turns = 0; !condition(); ++turns) {
      ASSERT_LT(turns, 100'000) << "the condition never holds";
      turn();
    }
  }
  /// Nothing is left to happen when a whole second brings no event.
  void settle() {
    while (turn() > 0 || backend->has_pending_events()) {
    }
  }

  std::unique_ptr<ListenChannel> listen(const Address& address, Accepting& events,
                                        int backlog = 100, ListenOptions options = {}) {
    auto listener = backend->bind(address, options);
    EXPECT_TRUE(listener) << listener.error();
    EXPECT_FALSE(listener.value()->start_accepting(events, backlog));
    return std::move(listener.value());
  }
  std::error_code bind_error(const Address& address, ListenOptions options = {}) {
    return backend->bind(address, options).error();
  }
  std::unique_ptr<ConnectAttempt> connect(const Address& remote, ConnectEvents& events,
                                          const Address& local = {}) {
    ConnectStart start = backend->connect(remote, local, events);
    EXPECT_FALSE(start.error) << start.error;
    return std::move(start.attempt);
  }

  /// Makes `left`, a client, and `right`, which was accepted at `address`; neither receives yet.
  void make_pair(const Address& address = v4(0)) {
    Accepting accepting;
    Connecting connecting;
    const auto listener = listen(address, accepting);
    const auto attempt = connect(listener->local_address(), connecting);
    run_until([&] { return connecting.done() && !accepting.channels.empty(); });
    left.emplace("left", trace, std::move(connecting.channel));
    right.emplace("right", trace, std::move(accepting.channels.front()));
  }
  /// What was noted since the last call.
  Trace events() { return std::exchange(trace, {}); }

  std::unique_ptr<Backend> backend;
  Trace trace;
  std::optional<User> left;
  std::optional<User> right;
};

}  // namespace weir::test_backend
