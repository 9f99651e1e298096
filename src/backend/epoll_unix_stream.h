#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backend.h"
#include "epoll_stream.h"
#include "fd.h"

namespace weir::inline v0::detail {

/// A connected Unix stream socket.
///
/// A receive stops behind passed descriptors, and says so. From a peer that passes any, a short one
/// proves nothing.
class EpollUnixChannel : public EpollStreamChannel, private LocalSocket {
 public:
  using EpollStreamChannel::EpollStreamChannel;

  LocalSocket* local_socket() noexcept override { return this; }

 protected:
  void receive() noexcept override {
    EpollStreamChannel::receive();
    received_.clear();
  }
  ssize_t receive_some(std::span<std::byte> buffer) noexcept override;
  bool sends_bytes_only() const noexcept override { return passing_.empty(); }

 private:
  std::vector<Fd> duplicates(std::span<const int> descriptors) const override;
  void send_along(std::vector<Fd> descriptors) noexcept override {
    passing_ = std::move(descriptors);
  }
  void receive_descriptors(bool enabled) noexcept override {
    keeps_descriptors_ = enabled;
    if (enabled) must_receive_itself();
  }
  std::vector<Fd> take_received() noexcept override { return std::exchange(received_, {}); }
  std::optional<PeerCredentials> peer_credentials() const noexcept override;

  ssize_t send_some(std::span<const ConstBytes> pieces) noexcept override;

  std::vector<Fd> passing_;   ///< leave with the next byte
  std::vector<Fd> received_;  ///< with the bytes of the on_received() that is running
  bool keeps_descriptors_ = false;
};

}  // namespace weir::inline v0::detail
