#pragma once

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "datagram_core.h"
#include "loop.h"

namespace weir::detail {

using Calls = std::vector<std::string>;

inline constexpr std::size_t plenty = 1'000'000;

inline const Address alice = Address::ipv4({10, 0, 0, 1}, 1);
inline const Address bob = Address::ipv4({10, 0, 0, 2}, 2);

/// A channel without a network: it notes the verbs, takes as many datagrams as it has `room` for, and
/// fails those whose text begins with "bad".
class FakeChannel final : public DatagramChannel {
 public:
  void attach(DatagramEvents& attached) noexcept override { events = &attached; }
  void start_receiving() noexcept override { receiving = true; }
  void stop_receiving() noexcept override { receiving = false; }

  DatagramSendResult try_send(std::span<const OutgoingDatagram> datagrams) noexcept override {
    EXPECT_FALSE(sending) << "try_send() while something is unsent";
    EXPECT_FALSE(closed);
    calls.push_back("try_send " + std::to_string(datagrams.size()));
    return take(datagrams);
  }
  void start_sending() noexcept override {
    EXPECT_FALSE(sending) << "start_sending() twice";
    sending = true;
    calls.emplace_back("start_sending");
  }
  void close() noexcept override {
    EXPECT_FALSE(closed);
    closed = true;
    receiving = sending = false;
    calls.emplace_back("close");
  }

  /// There is room for `count` datagrams more: what a kernel does that became writable.
  void make_room(std::size_t count) {
    room = count;
    while (sending && room > 0) {
      std::vector<OutgoingDatagram> next(max_datagrams);
      next.resize(events->unsent(next));
      if (next.empty()) {
        sending = false;
        return;
      }
      const DatagramSendResult result = take(next);
      if (result.done == 0) return;
      // Like a kernel's: it stops by itself, and may be told to send again from inside the event.
      const bool all = result.done == next.size() && next.size() < max_datagrams;
      if (all) sending = false;
      events->on_sent(result.done, result.error);
    }
  }

  Address local_address() const override { return alice; }
  std::optional<Address> peer_address() const override { return peer; }
  int descriptor() const noexcept override { return -1; }
  std::error_code set_membership(const Address& group, const Address&, bool) noexcept override {
    return group == bob ? std::make_error_code(std::errc::invalid_argument) : std::error_code();
  }
  std::error_code set_hops(Hops, int count) noexcept override {
    return count < 0 ? std::make_error_code(std::errc::invalid_argument) : std::error_code();
  }
  std::error_code set_multicast_loop(bool) noexcept override { return {}; }
  std::error_code set_multicast_interface(const Address&) noexcept override { return {}; }

  DatagramEvents* events = nullptr;
  std::optional<Address> peer;
  std::size_t room = plenty;
  bool receiving = false;
  bool sending = false;
  bool closed = false;
  Calls calls;
  Calls sent;  ///< "text" or "text>destination"

 private:
  DatagramSendResult take(std::span<const OutgoingDatagram> datagrams) noexcept {
    DatagramSendResult result;
    for (const OutgoingDatagram& datagram : datagrams) {
      if (room == 0) break;
      ++result.done;
      const std::string text(as_text(datagram.data));
      if (text.starts_with("bad")) {
        result.error = std::make_error_code(std::errc::message_size);
        break;
      }
      --room;
      sent.push_back(
          datagram.destination == nullptr ? text : text + ">" + datagram.destination->to_string());
    }
    return result;
  }
};

/// Notes what it is told, and lets a test act in there.
class Recording final : public DatagramProtocol {
 public:
  explicit Recording(Calls& calls) : calls_(calls) {}

  void connection_made(DatagramTransport) override { note("made"); }
  void datagram_received(std::span<const std::byte> data, const Address&) override {
    note("got " + std::string(as_text(data)));
  }
  void error_received(std::error_code) override { note("error"); }
  void pause_writing() override { note("pause"); }
  void resume_writing() override { note("resume"); }
  void connection_lost(const CloseReason& reason) override {
    note(reason ? "lost with an error" : "lost");
  }

  /// Runs in each callback, after it was noted.
  std::function<void(const std::string&)> action;

 private:
  void note(std::string call) {
    calls_.push_back(call);
    if (action) action(call);
  }

  Calls& calls_;
};

class DatagramCoreTest : public ::testing::Test {
 protected:
  DatagramCoreTest() {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
      EXPECT_EQ(context.datagram_transport, transport);
      EXPECT_EQ(context.protocol, protocol);
    });
  }
  ~DatagramCoreTest() override {
    // The channel tells the end; without it the loop drops the rest.
    if (channel->closed) channel->events->on_closed();
    loop.close();
    EXPECT_EQ(reports, Calls());
  }

  void start(std::optional<Address> peer = std::nullopt, const Address& remote = {}) {
    auto made = std::make_unique<FakeChannel>();
    channel = made.get();
    channel->peer = std::move(peer);
    protocol = std::make_shared<Recording>(calls);
    core = &DatagramCore::start(
        Loop::of(loop), {.channel = std::move(made), .protocol = protocol, .remote = remote});
    transport = core->handle();
    loop.run_once();
    EXPECT_EQ(std::exchange(calls, {}), Calls{"made"});
    EXPECT_TRUE(channel->receiving);
  }

  /// A batch arrives; returns how many were taken.
  std::size_t deliver(const Calls& texts) {
    std::vector<ReceivedDatagram> batch;
    for (const std::string& text : texts) batch.push_back({as_bytes(text), bob});
    return channel->events->on_datagrams(batch);
  }
  /// Sends each datagram back to where it came from.
  void echo() {
    protocol->action = [this](const std::string& call) {
      if (call.starts_with("got ")) transport.sendto(call.substr(4), bob);
    };
  }
  Calls take_reports() { return std::exchange(reports, {}); }

  EventLoop loop{{.backend = BackendKind::simulated}};
  Calls calls;
  Calls reports;
  FakeChannel* channel = nullptr;
  std::shared_ptr<Recording> protocol;
  DatagramCore* core = nullptr;
  DatagramTransport transport;
};

}  // namespace weir::detail
