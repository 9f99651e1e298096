#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "uring_backend.h"

namespace weir::inline v0::detail {

/// What a stream receives by the ring: holds it until the stream is ready for it.
class UringReceiver {
 public:
  explicit UringReceiver(UringBackend& backend) noexcept : backend_(backend) {}
  UringReceiver(const UringReceiver&) = delete;
  UringReceiver& operator=(const UringReceiver&) = delete;

  /// Bytes that arrived, in a buffer of the kernel's or memory of their own.
  struct Arrival {
    std::span<std::byte> bytes;
    std::uint16_t buffer = 0;
    std::unique_ptr<std::byte[]> own{};
  };

  /// Asks for all that arrives. False: that cannot be had.
  bool start(int socket);
  /// No more arrives than what the kernel has already received: that, and the last completion, follow.
  void cancel() noexcept;
  /// True until the last completion.
  bool is_active() const noexcept { return request_ != nullptr; }
  /// Copies what is held, so that the kernel has its buffers back.
  void keep();
  /// Nothing is for anybody any more.
  void abandon() noexcept;

  bool has_bytes() const noexcept { return !arrivals_.empty(); }
  /// The first that arrived; then release() or put_back() is due.
  Arrival take_first() noexcept;
  void release(Arrival& arrival) noexcept;
  void put_back(Arrival arrival) { arrivals_.insert(arrivals_.begin(), std::move(arrival)); }

  /// The stream ended, or broke: once there are no bytes any more end() tells.
  bool has_ended() const noexcept { return ended_; }
  /// 0 if the peer ended the stream, else what broke it.
  int end() const noexcept { return -over_by_; }
  /// Why it is not active any more, though the stream goes on; told once. 0: for no reason to know.
  int take_reason() noexcept { return ended_ ? 0 : -std::exchange(over_by_, 0); }

 protected:
  ~UringReceiver() { abandon(); }

  /// There is something new: bytes, or that it is not active any more. Only during a wait; nothing may be asked
  /// of the backend in there.
  virtual void something_came() noexcept = 0;
  /// Whether bytes are for somebody soon.
  virtual bool wants_bytes() const noexcept = 0;

 private:
  /// A multishot receive. It may outlive the receiver: its data then is for nobody.
  class Request final : public UringRequest {
   public:
    Request(UringBackend& backend, UringReceiver& receiver) noexcept
        : backend_(backend), receiver_(&receiver) {}
    void complete(int result, std::uint32_t flags) noexcept override;
    void forget() noexcept { receiver_ = nullptr; }

   private:
    UringBackend& backend_;
    UringReceiver* receiver_;
  };

  void keep(Arrival& arrival);
  void arrived(Arrival arrival);
  void over(int result) noexcept;

  UringBackend& backend_;
  std::vector<Arrival> arrivals_;
  Request* request_ = nullptr;  ///< owns itself
  int over_by_ = 0;             ///< the result that made it inactive
  bool cancelled_ = false;
  bool ended_ = false;
};

}  // namespace weir::inline v0::detail
