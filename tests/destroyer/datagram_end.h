#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "end.h"

namespace weir::destroyer {

/// All datagrams that were sent: by their number, which is what they begin with, how long they are.
using SentDatagrams = std::unordered_map<std::uint32_t, std::size_t>;

/// A datagram socket, which sends to any other and checks that what comes is what somebody sent.
class DatagramEnd final : public End, public std::enable_shared_from_this<DatagramEnd> {
 public:
  DatagramEnd(World& world, std::size_t number, std::size_t machine, AddressFamily family,
              bool connected) noexcept
      : End(world, number, machine), family_(family), connected_(connected) {}

  std::shared_ptr<DatagramProtocol> new_protocol();
  AddressFamily family() const noexcept { return family_; }
  const Address& address() const noexcept { return address_; }

  void act() override;
  void ask() override;
  void close() override;
  void abort() override;
  void check_dead() override;

  void connection_made(const DatagramTransport& transport);
  void datagram_received(std::span<const std::byte> data, const Address& sender);
  void error_received(std::error_code error);
  void pause_writing();
  void resume_writing();
  void connection_lost(const CloseReason& reason);
  void check_current(const DatagramProtocol* protocol);

 private:
  void send();
  void set_limits();
  void user_closes();
  void user_aborts();
  void pause();
  void resume();
  void set_protocol();
  void set_no_protocol();
  void step_to_ask();
  void drop_handle();

  const AddressFamily family_;
  const bool connected_;
  DatagramTransport transport_;
  DatagramTransport keeper_;
  std::weak_ptr<DatagramProtocol> protocol_;
  Address address_;
  bool write_paused_ = false;
};

}  // namespace weir::destroyer
