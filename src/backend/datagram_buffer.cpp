#include "datagram_buffer.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

#include "sockaddr.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

/// An odd number of cache lines between slots: else the first bytes of all would share a few lines of the
/// processor's cache.
constexpr std::size_t stagger = 64;

}  // namespace

DatagramBuffer::DatagramBuffer(std::size_t slot_size, std::size_t slots)
    : bytes_(std::make_unique_for_overwrite<std::byte[]>(slots * (slot_size + stagger))),
      headers_(slots),
      pieces_(slots),
      names_(slots),
      controls_(slots),
      datagrams_(slots),
      known_(slots) {
  for (std::size_t i = 0; i < slots; ++i) {
    pieces_[i] = {bytes_.get() + i * (slot_size + stagger), slot_size};
    msghdr& message = headers_[i].msg_hdr;
    message.msg_iov = &pieces_[i];
    message.msg_iovlen = 1;
    message.msg_name = &names_[i].storage;
    prepare(i);
  }
}

DatagramBuffer::Batch DatagramBuffer::receive(int socket, std::size_t messages,
                                              Merging merging) noexcept {
  if (merging != merging_) set_merging(merging);
  messages = std::min(messages, slots());
  const int count =
      ::recvmmsg(socket, headers_.data(), static_cast<unsigned>(messages), MSG_DONTWAIT, nullptr);
  if (count < 0) return Batch{.datagrams = {}, .error = last_system_error()};
  count_ = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    unpack(i);
  }
  return Batch{.datagrams = std::span(datagrams_).first(count_),
               .messages = static_cast<std::size_t>(count),
               .full = static_cast<std::size_t>(count) == messages};
}

/// Room for what the kernel is to say of every message.
void DatagramBuffer::set_merging(Merging merging) noexcept {
  merging_ = merging;
  for (std::size_t i = 0; i < slots(); ++i) {
    headers_[i].msg_hdr.msg_control = merging == Merging::on ? controls_[i].bytes : nullptr;
    prepare(i);
  }
}

/// Sets back what the kernel changes when it fills a slot.
void DatagramBuffer::prepare(std::size_t slot) noexcept {
  msghdr& message = headers_[slot].msg_hdr;
  message.msg_namelen = sizeof(sockaddr_storage);
  message.msg_controllen = merging_ == Merging::on ? sizeof(controls_[slot].bytes) : 0;
}

void DatagramBuffer::unpack(std::size_t slot) {
  const std::size_t size = headers_[slot].msg_len;
  const std::size_t segment = segment_size(headers_[slot].msg_hdr, size);
  names_[slot].length = headers_[slot].msg_hdr.msg_namelen;
  prepare(slot);
  ConstBytes rest(static_cast<const std::byte*>(pieces_[slot].iov_base), size);
  do {  // an empty datagram is one, too
    const ConstBytes datagram = rest.first(std::min(segment, rest.size()));
    add(datagram, names_[slot]);
    rest = rest.subspan(datagram.size());
  } while (!rest.empty());
}

/// The size of each datagram in a message but the last, which may be shorter; `size` if it is only one.
std::size_t DatagramBuffer::segment_size(msghdr& message, std::size_t size) noexcept {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != IPPROTO_UDP || header->cmsg_type != UDP_GRO) continue;
    int segment = 0;
    std::memcpy(&segment, CMSG_DATA(header), sizeof segment);
    if (segment > 0) return static_cast<std::size_t>(segment);
  }
  return size;
}

/// Makes an Address only of a sender that was another one the last time.
void DatagramBuffer::add(ConstBytes data, const RawAddress& sender) {
  if (count_ == datagrams_.size()) {
    datagrams_.emplace_back();
    known_.emplace_back();
  }
  ReceivedDatagram& datagram = datagrams_[count_];
  RawAddress& known = known_[count_];
  ++count_;
  datagram.data = data;
  if (known.length == sender.length &&
      std::memcmp(&known.storage, &sender.storage, sender.length) == 0) {
    return;
  }
  known.length = sender.length;
  std::memcpy(&known.storage, &sender.storage, sender.length);
  datagram.sender = address_from(reinterpret_cast<const sockaddr&>(sender.storage), sender.length);
}

void DatagramBuffer::scribble(std::span<const ReceivedDatagram> datagrams) noexcept {
  for (const ReceivedDatagram& datagram : datagrams) {
    // Our own memory: only those who receive see it as constant.
    auto* data = const_cast<std::byte*>(datagram.data.data());  // NOLINT(*-const-cast)
    std::memset(data, 0xDD, datagram.data.size());
  }
}

}  // namespace weir::inline v0::detail
