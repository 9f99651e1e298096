#pragma once

#include <weir/address.h>

#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "backend.h"
#include "simulated_datagram_socket.h"
#include "simulated_signals.h"

namespace weir::inline v0::detail::simulated {

/// The channel of a datagram socket.
class Datagrams final : public DatagramChannel, private SocketUser {
 public:
  Datagrams(Signals& signals, std::shared_ptr<DatagramSocket> socket)
      : signals_(signals), socket_(std::move(socket)) {
    socket_->set_user(*this);
  }
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  ~Datagrams() override { socket_->close(); }

  void attach(DatagramEvents& events) noexcept override { events_ = &events; }
  void start_receiving() noexcept override;
  void stop_receiving() noexcept override;
  DatagramSendResult try_send(std::span<const OutgoingDatagram> datagrams) noexcept override;
  void start_sending() noexcept override;
  void close() noexcept override;

  Address local_address() const override { return socket_->local_address(); }
  std::optional<Address> peer_address() const override { return socket_->peer_address(); }
  int descriptor() const noexcept override { return -1; }

  std::error_code set_membership(const Address& group, const Address& interface,
                                 bool member) noexcept override {
    return socket_->set_membership(group, interface, member);
  }
  std::error_code set_hops(Hops kind, int count) noexcept override;
  std::error_code set_multicast_loop(bool enabled) noexcept override;
  std::error_code set_multicast_interface(const Address& interface) noexcept override;

 private:
  bool internet() const noexcept { return socket_->family() != AddressFamily::unix_socket; }
  void socket_changed() noexcept override;
  bool deliver_receive() noexcept;
  bool deliver_send() noexcept;
  bool deliver_closed() noexcept;

  Signals& signals_;
  std::shared_ptr<DatagramSocket> socket_;
  DatagramEvents* events_ = nullptr;
  bool closed_ = false;
  bool receiving_ = false;
  bool sending_ = false;
  SignalOf<Datagrams> receive_signal_{*this, &Datagrams::deliver_receive};
  SignalOf<Datagrams> send_signal_{*this, &Datagrams::deliver_send};
  SignalOf<Datagrams> closed_signal_{*this, &Datagrams::deliver_closed};
};

/// See Backend::open_datagram().
DatagramOpened open_datagram(Host& host, Signals& signals, const DatagramPlan& plan);

}  // namespace weir::inline v0::detail::simulated
