#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "backend.h"

namespace weir::inline v0::detail {

/// Whether the kernel may hand over several datagrams of one sender as one message: UDP_GRO.
enum class Merging : bool { off, on };

/// Where datagrams arrive: slots of memory that all channels of a backend share, one message each.
/// A page of it that was never written to costs nothing.
class DatagramBuffer {
 public:
  DatagramBuffer(std::size_t slot_size, std::size_t slots);

  struct Batch {
    /// Valid until the next receive(). More than there were messages if the kernel merged some.
    std::span<const ReceivedDatagram> datagrams;
    std::size_t messages = 0;
    bool full = false;  ///< as many messages as asked for; else nothing is left to receive
    std::error_code error{};
  };
  /// Receives at most `messages` messages from `socket`, as far as there are slots: recvmmsg().
  Batch receive(int socket, std::size_t messages, Merging merging) noexcept;

  /// After the callback: a span kept past it must not look right by accident. [C5]
  static void scribble(std::span<const ReceivedDatagram> datagrams) noexcept;

 private:
  /// A sender as the kernel wrote it.
  struct RawAddress {
    socklen_t length = 0;
    sockaddr_storage storage{};
  };
  struct alignas(cmsghdr) Control {
    std::byte bytes[CMSG_SPACE(sizeof(int))];
  };

  std::size_t slots() const noexcept { return headers_.size(); }
  void set_merging(Merging merging) noexcept;
  void prepare(std::size_t slot) noexcept;
  void unpack(std::size_t slot);
  void add(ConstBytes data, const RawAddress& sender);
  static std::size_t segment_size(msghdr& message, std::size_t size) noexcept;

  std::unique_ptr<std::byte[]> bytes_;
  Merging merging_ = Merging::off;
  std::vector<mmsghdr> headers_;  ///< of the slots, as are the next three
  std::vector<iovec> pieces_;
  std::vector<RawAddress> names_;
  std::vector<Control> controls_;
  std::size_t count_ = 0;  ///< how many of the next two are in use
  std::vector<ReceivedDatagram> datagrams_;
  std::vector<RawAddress> known_;  ///< what datagrams_[i].sender was made of
};

}  // namespace weir::inline v0::detail
