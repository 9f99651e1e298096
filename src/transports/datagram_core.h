#pragma once

#include <weir/address.h>
#include <weir/datagram.h>
#include <weir/observer.h>
#include <weir/transport.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "backend.h"
#include "datagram_queue.h"
#include "dropped_writes.h"
#include "flow_control.h"
#include "lifecycle.h"
#include "loop.h"
#include "receive_switch.h"

namespace weir::inline v0::detail {

/// What a new datagram transport is made of.
struct DatagramParts {
  std::unique_ptr<DatagramChannel> channel;
  std::shared_ptr<DatagramProtocol> protocol;
  Address remote{};  ///< of a socket that is not connected: where datagrams go all the same [D20]
  /// Called once, from the loop, between connection_made() and the first datagram. [B8]
  UniqueFunction<void(DatagramTransport)> ready{};
};

/// The transport of every datagram socket. The loop owns it; it goes when its channel is closed.
///
/// Whatever goes wrong with a datagram is told and the transport goes on: there are no fatal errors.
/// [D9, D10] Who moves the queue says whether one may be sent past it:
///
///     nobody   it is empty, or holds what is kept back until the batch being received is delivered
///     flush    flush(), up the stack of calls: it finds what is added meanwhile
///     channel  the kernel had no room; the channel asks for unsent()
class DatagramCore final : public Owned, public ObservedTransport, private DatagramEvents {
 public:
  /// Makes one, owned by `loop`. From the loop, later: connection_made(), `ready`, datagrams. [B1, B8]
  static DatagramCore& start(Loop& loop, DatagramParts parts);

  explicit DatagramCore(Loop& loop, DatagramParts parts);
  ~DatagramCore() override;

  DatagramTransport handle() const noexcept { return DatagramTransport(lifecycle_.name()); }
  bool on_loop_thread() noexcept { return lifecycle_.loop().on_loop_thread(); }
  /// The transport behind a handle, null if it is dead.
  static DatagramCore* of(const DatagramTransport& handle) noexcept;

  // The calls of the public handle, for a live transport.
  void sendto(ConstBytes data, const Address& destination);
  void close();
  void abort();
  TransportKind kind() const noexcept override { return TransportKind::datagram; }
  bool is_closing() const noexcept override { return lifecycle_.closing(); }
  void pause_reading();
  void resume_reading();
  bool is_reading() const noexcept override { return receiving_.reading(); }
  void set_write_buffer_limits(WriteBufferLimits limits);
  EffectiveWriteBufferLimits get_write_buffer_limits() const noexcept override {
    return flow_control_.limits();
  }
  std::size_t get_write_buffer_size() const noexcept override { return queue_.size(); }
  ExtraInfo get_extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<DatagramProtocol> protocol);
  std::shared_ptr<DatagramProtocol> protocol() const {
    return std::static_pointer_cast<DatagramProtocol>(lifecycle_.protocol());
  }
  DatagramChannel& channel() noexcept { return *channel_; }

 private:
  enum class Mover : std::uint8_t { nobody, flush, channel };

  std::size_t on_datagrams(std::span<const ReceivedDatagram> datagrams) noexcept override;
  void on_receive_failed(std::error_code error) noexcept override;
  std::size_t unsent(std::span<OutgoingDatagram> datagrams) noexcept override;
  void on_sent(std::size_t count, std::error_code error) noexcept override;
  void on_closed() noexcept override;

  Observation* observation() const noexcept { return lifecycle_.observation(); }
  void begin(UniqueFunction<void(DatagramTransport)>& ready);
  const Address* checked(const Address& destination) const;
  bool may_keep_back(ConstBytes data) const noexcept;
  bool sent_at_once(const OutgoingDatagram& datagram);
  void leave_to_channel() noexcept;
  void flush() noexcept;
  void pause_if_over() noexcept;
  /// error_received(); what that throws is reported, or the caller's.
  void tell(std::error_code error) noexcept;
  void tell_caller(std::error_code error);
  void doom() noexcept;
  void lose() noexcept;

  std::unique_ptr<DatagramChannel> channel_;
  const bool connected_;  ///< to a peer, which may have no name [D7]
  const Address remote_;  ///< that peer, or where datagrams go without one; else empty [D6, D20]
  DatagramProtocol* protocol_;  ///< the lifecycle owns it
  Lifecycle lifecycle_;
  ReceiveSwitch<DatagramChannel> receiving_;
  DatagramQueue queue_;
  FlowControl flow_control_;
  DroppedWrites dropped_writes_;
  Mover mover_ = Mover::nobody;
  bool in_batch_ = false;  ///< several datagrams are being delivered: answers are sent together
};

}  // namespace weir::inline v0::detail
