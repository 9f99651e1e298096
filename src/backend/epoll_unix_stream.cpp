#include "epoll_unix_stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "epoll_stream.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

/// Room for the descriptors of one message, and for credentials if the user asked the socket for them.
struct alignas(cmsghdr) ControlBuffer {
  std::array<std::byte, CMSG_SPACE(max_passed_descriptors * sizeof(int)) + 256> bytes;
};

/// `descriptors` as a control message within `buffer`.
std::span<std::byte> put_descriptors(std::span<const Fd> descriptors, ControlBuffer& buffer) {
  auto* header = reinterpret_cast<cmsghdr*>(buffer.bytes.data());
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  unsigned char* to = CMSG_DATA(header);
  for (const Fd& descriptor : descriptors) {
    const int number = descriptor.get();
    std::memcpy(to, &number, sizeof number);
    to += sizeof number;
  }
  return std::span(buffer.bytes).first(CMSG_SPACE(descriptors.size() * sizeof(int)));
}

void take_descriptors(msghdr& message, std::vector<Fd>& descriptors) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const unsigned char* from = CMSG_DATA(header);
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, from + i * sizeof number, sizeof number);
      descriptors.emplace_back(number);
    }
  }
}

}  // namespace

std::vector<Fd> EpollUnixChannel::duplicates(std::span<const int> descriptors) const {
  const auto check = [](int result, int descriptor) {
    if (result >= 0) return result;
    throw std::system_error(last_system_error(),
                            "descriptor " + std::to_string(descriptor) + " cannot be passed");
  };
  // All first, for a duplicate may take the number of one that is closed.
  for (const int descriptor : descriptors) check(::fcntl(descriptor, F_GETFD), descriptor);
  std::vector<Fd> result;
  result.reserve(descriptors.size());
  for (const int descriptor : descriptors) {
    result.emplace_back(check(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0), descriptor));
  }
  return result;
}

std::optional<PeerCredentials> EpollUnixChannel::peer_credentials() const noexcept {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return std::nullopt;
  }
  return PeerCredentials{
      .process_id = credentials.pid, .user_id = credentials.uid, .group_id = credentials.gid};
}

ssize_t EpollUnixChannel::receive_some(std::span<std::byte> buffer) noexcept {
  ControlBuffer control;  // NOLINT(*-member-init): the kernel says how much of it it filled
  iovec piece{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (keeps_descriptors_) {  // the kernel closes those that there is no room for
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
  }
  const ssize_t count = ::recvmsg(descriptor_, &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return count;
  const bool had_room = keeps_descriptors_ && message.msg_controllen > 0;
  if (had_room) take_descriptors(message, received_);
  if (had_room || (message.msg_flags & MSG_CTRUNC) != 0) drain_ = true;
  return count;
}

ssize_t EpollUnixChannel::send_some(std::span<const ConstBytes> pieces) noexcept {
  if (passing_.empty()) return EpollStreamChannel::send_some(pieces);
  ControlBuffer control;  // NOLINT(*-member-init): filled as far as it is used
  const ssize_t count = send_gathered(descriptor_, pieces, put_descriptors(passing_, control));
  if (count > 0) passing_.clear();
  return count;
}

}  // namespace weir::inline v0::detail
