#include "simulated_datagrams.h"

#include <algorithm>
#include <array>
#include <vector>

namespace weir::inline v0::detail::simulated {

void Datagrams::start_receiving() noexcept {
  receiving_ = true;
  socket_changed();
}

void Datagrams::stop_receiving() noexcept {
  receiving_ = false;
  receive_signal_.unlink();
}

DatagramSendResult Datagrams::try_send(std::span<const OutgoingDatagram> datagrams) noexcept {
  DatagramSendResult result;
  for (const OutgoingDatagram& datagram : datagrams) {
    const std::error_code error = socket_->send(datagram.data, datagram.destination);
    if (error == std::errc::operation_would_block) break;
    ++result.done;
    result.error = error;
    if (error) break;
  }
  return result;
}

void Datagrams::start_sending() noexcept {
  sending_ = true;
  socket_changed();
}

void Datagrams::close() noexcept {
  if (std::exchange(closed_, true)) return;
  receive_signal_.unlink();
  send_signal_.unlink();
  socket_->close();
  signals_.raise(closed_signal_);
}

void Datagrams::socket_changed() noexcept {
  if (closed_) return;
  if (receiving_ && socket_->readable()) signals_.raise(receive_signal_);
  if (sending_ && !socket_->blocked()) signals_.raise(send_signal_);
}

bool Datagrams::deliver_receive() noexcept {
  if (!socket_->readable()) return false;  // the error was told by a send
  if (const std::error_code error = socket_->take_error()) {
    events_->on_receive_failed(error);
    socket_changed();
    return true;
  }
  std::vector<Datagram> batch = socket_->take(max_datagrams);
  std::array<ReceivedDatagram, max_datagrams> received;
  std::ranges::transform(batch, received.begin(), [](const Datagram& datagram) {
    return ReceivedDatagram{datagram.data, datagram.sender};
  });
  const std::size_t taken = events_->on_datagrams(std::span(received).first(batch.size()));
  for (; batch.size() > taken; batch.pop_back()) socket_->put_back(std::move(batch.back()));
  socket_changed();
  return true;
}

bool Datagrams::deliver_send() noexcept {
  std::array<OutgoingDatagram, max_datagrams> next;
  const std::size_t count = events_->unsent(next);
  if (count == 0) sending_ = false;
  const auto [done, error] = try_send(std::span(next).first(count));
  if (done == 0) return false;
  events_->on_sent(done, error);
  if (closed_ || !sending_) return true;
  sending_ = events_->unsent(std::span(next).first(1)) > 0;
  socket_changed();
  return true;
}

bool Datagrams::deliver_closed() noexcept {
  events_->on_closed();
  return true;
}

/// There are no routers to pass.
std::error_code Datagrams::set_hops(Hops kind, int count) noexcept {
  if (!internet()) return kernel_error(std::errc::operation_not_supported);
  const bool zero = kind == Hops::multicast || socket_->family() == AddressFamily::ipv6;
  const bool possible = count >= (zero ? 0 : 1) && count <= 255;
  return possible ? std::error_code() : kernel_error(std::errc::invalid_argument);
}

std::error_code Datagrams::set_multicast_loop(bool enabled) noexcept {
  if (!internet()) return kernel_error(std::errc::operation_not_supported);
  socket_->set_multicast_loop(enabled);
  return {};
}

/// All of a host's are one.
std::error_code Datagrams::set_multicast_interface(const Address& interface) noexcept {
  if (!internet()) return kernel_error(std::errc::operation_not_supported);
  const bool known = interface.empty() ||
                     (interface.family() == socket_->family() && socket_->host().has(interface));
  return known ? std::error_code() : kernel_error(std::errc::address_not_available);
}

DatagramOpened open_datagram(Host& host, Signals& signals, const DatagramPlan& plan) {
  if (plan.family == AddressFamily::unspecified) {
    return {nullptr, ConnectStep::socket, kernel_error(std::errc::address_family_not_supported)};
  }
  auto socket = std::make_shared<DatagramSocket>(host, plan);
  if (!plan.local.empty()) {
    if (const std::error_code error = socket->bind(plan.local, plan.reuse_port)) {
      return {nullptr, ConnectStep::bind, error};
    }
  }
  if (!plan.remote.empty()) {
    if (const std::error_code error = socket->connect(plan.remote)) {
      return {nullptr, ConnectStep::connect, error};
    }
  }
  return {std::make_unique<Datagrams>(signals, std::move(socket)), ConnectStep::socket, {}};
}

}  // namespace weir::inline v0::detail::simulated
