#include "datagram_sender.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sockaddr.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

/// What one message of a group may hold: Linux's limits, and the size of the largest packet.
constexpr std::size_t max_group = 64;
constexpr std::size_t max_group_bytes = 65'000;

bool same_destination(const OutgoingDatagram& a, const OutgoingDatagram& b) noexcept {
  if (a.destination == b.destination) return true;
  return a.destination != nullptr && b.destination != nullptr && *a.destination == *b.destination;
}

/// How many of `messages` left at once, or -1.
int send_first(int socket, std::span<mmsghdr> messages) noexcept {
  if (messages.size() > 1) {
    return ::sendmmsg(socket, messages.data(), static_cast<unsigned>(messages.size()),
                      MSG_NOSIGNAL);
  }
  return ::sendmsg(socket, &messages.front().msg_hdr, MSG_NOSIGNAL) < 0 ? -1 : 1;
}

iovec piece_of(ConstBytes data) noexcept {
  // The call wants it so, for the sake of receiving; it sends without writing.
  return {const_cast<std::byte*>(data.data()), data.size()};  // NOLINT(*-const-cast)
}

}  // namespace

/// What sendmmsg() takes. Not initialised: it is filled as far as it is used.
class DatagramSender::Messages {
 public:
  // NOLINTNEXTLINE(*-member-init,modernize-use-equals-default): that would clear it all
  Messages() noexcept {}

  /// Adds `group` as one message; false if its destination is a path that does not fit.
  bool add(std::span<const OutgoingDatagram> group) noexcept {
    msghdr& message = headers_[count_].msg_hdr;
    message = {};
    message.msg_iov = &pieces_[piece_count_];
    message.msg_iovlen = group.size();
    if (const Address* destination = group.front().destination; destination != nullptr) {
      message.msg_name = &names_[count_];
      message.msg_namelen = sockaddr_from(*destination, names_[count_]);
      if (message.msg_namelen == 0) return false;
    }
    for (const OutgoingDatagram& datagram : group) {
      pieces_[piece_count_++] = piece_of(datagram.data);
    }
    if (group.size() > 1) set_segment(message, group.front().data.size());
    ++count_;
    return true;
  }

  std::span<mmsghdr> headers() noexcept { return std::span(headers_).first(count_); }

 private:
  struct alignas(cmsghdr) Control {
    std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> bytes;
  };

  void set_segment(msghdr& message, std::size_t size) noexcept {
    Control& control = controls_[count_];
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto segment = static_cast<std::uint16_t>(size);
    std::memcpy(CMSG_DATA(header), &segment, sizeof segment);
  }

  std::array<mmsghdr, max_datagrams> headers_;
  std::array<iovec, max_datagrams> pieces_;
  std::array<sockaddr_storage, max_datagrams> names_;
  std::array<Control, max_datagrams> controls_;
  std::size_t count_ = 0;
  std::size_t piece_count_ = 0;
};

DatagramSendResult DatagramSender::send(int socket,
                                        std::span<const OutgoingDatagram> datagrams) noexcept {
  Messages messages;
  datagrams = datagrams.first(std::min(datagrams.size(), max_datagrams));
  std::size_t added = 0;
  while (added < datagrams.size()) {
    const auto rest = datagrams.subspan(added);
    const std::size_t size = group_size(socket, rest);
    if (!messages.add(rest.first(size))) break;
    added += size;
  }
  DatagramSendResult result = send_messages(socket, datagrams, messages);
  if (!result.error && result.done == added && added < datagrams.size()) {
    result = {.done = added + 1, .error = std::make_error_code(std::errc::filename_too_long)};
  }
  return result;
}

/// How many of `datagrams` leave as one message.
std::size_t DatagramSender::group_size(int socket,
                                       std::span<const OutgoingDatagram> datagrams) noexcept {
  const std::size_t segment = datagrams.front().data.size();
  if (grouping_ == Grouping::off || segment == 0 || segment > largest_segment_) return 1;
  std::size_t bytes = segment;
  std::size_t count = 1;
  for (; count < std::min(datagrams.size(), max_group); ++count) {
    const std::size_t size = datagrams[count].data.size();
    if (size == 0 || size > segment || bytes + size > max_group_bytes) break;
    if (!same_destination(datagrams.front(), datagrams[count])) break;
    bytes += size;
    if (size < segment) {  // the last
      ++count;
      break;
    }
  }
  if (count > 1 && grouping_ == Grouping::untried) {
    // A kernel that does not know the option would send the group as one large datagram.
    int value = 0;
    socklen_t length = sizeof value;
    const bool known = ::getsockopt(socket, IPPROTO_UDP, UDP_SEGMENT, &value, &length) == 0;
    grouping_ = known ? Grouping::on : Grouping::off;
  }
  return grouping_ == Grouping::on ? count : 1;
}

DatagramSendResult DatagramSender::send_messages(int socket,
                                                 std::span<const OutgoingDatagram> datagrams,
                                                 Messages& messages) noexcept {
  std::size_t done = 0;
  for (auto rest = messages.headers(); !rest.empty();) {
    const int count = send_first(socket, rest);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      const std::error_code error = last_system_error();
      const std::size_t size = rest.front().msg_hdr.msg_iovlen;
      if (size == 1) return {.done = done + 1, .error = error};
      const auto [members, failure] =
          send_group_singly(socket, datagrams.subspan(done, size), error);
      done += members;
      if (failure || members < size) return {.done = done, .error = failure};
      rest = rest.subspan(1);
      continue;
    }
    for (const mmsghdr& sent : rest.first(static_cast<std::size_t>(count))) {
      done += sent.msg_hdr.msg_iovlen;
    }
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
  return {.done = done};
}

/// After a group was refused: so that each member has its own fate.
DatagramSendResult DatagramSender::send_group_singly(int socket,
                                                     std::span<const OutgoingDatagram> group,
                                                     std::error_code refusal) noexcept {
  if (refusal == std::errc::invalid_argument || refusal == std::errc::message_size) {
    // It did not fit one packet of the path; smaller ones may.
    largest_segment_ = static_cast<std::uint16_t>(group.front().data.size() - 1);
  } else if (refusal == std::errc::io_error || refusal == std::errc::operation_not_supported) {
    grouping_ = Grouping::off;
  }
  Messages messages;
  for (const OutgoingDatagram& member : group) static_cast<void>(messages.add({&member, 1}));
  return send_messages(socket, group, messages);
}

}  // namespace weir::inline v0::detail
