#pragma once

#include <weir/address.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "backend.h"

namespace weir::inline v0::detail {

/// Sends the datagrams of one socket, as many as it can by one system call. Over UDP, neighbours of one
/// size to one destination leave as one message, which the kernel takes apart as late as it can.
class DatagramSender {
 public:
  explicit DatagramSender(AddressFamily family) noexcept
      : grouping_(family == AddressFamily::ipv4 || family == AddressFamily::ipv6 ? Grouping::untried
                                                                                 : Grouping::off) {}

  /// What DatagramChannel::try_send() promises.
  DatagramSendResult send(int socket, std::span<const OutgoingDatagram> datagrams) noexcept;

 private:
  enum class Grouping : std::uint8_t { untried, on, off };
  class Messages;

  DatagramSendResult send_messages(int socket, std::span<const OutgoingDatagram> datagrams,
                                   Messages& messages) noexcept;
  DatagramSendResult send_group_singly(int socket, std::span<const OutgoingDatagram> group,
                                       std::error_code refusal) noexcept;
  std::size_t group_size(int socket, std::span<const OutgoingDatagram> datagrams) noexcept;

  Grouping grouping_;
  std::uint16_t largest_segment_ = 0xFFFF;  ///< of a group; a larger one was refused
};

}  // namespace weir::inline v0::detail
