#pragma once

#include <weir/address.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "backend.h"
#include "byte_ring.h"
#include "simulated_host.h"
#include "simulated_sockets.h"

// Unix sockets and pipes. What travels within a machine is delayed, but neither lost nor reordered.
namespace weir::inline v0::detail::simulated {

struct LocalConnection;

/// One end of a connection within a machine.
///
/// Its ring holds what the peer sent and its user has not read: first the bytes that arrived, then
/// those on their way. Together they are what flow control limits.
class LocalStreamSocket final : public Socket {
 public:
  LocalStreamSocket(LocalConnection& connection, ConnectionKind kind, Address local)
      : Socket(kind), connection_(connection), local_(std::move(local)) {}

  std::shared_ptr<Socket> shared() noexcept override;
  Address local_address() const override { return local_; }
  Address peer_address() const override { return peer().local_; }

  std::size_t unread() const noexcept override { return unread_; }
  std::error_code send_error() const noexcept override;
  std::size_t room() const noexcept override;

  void connect() noexcept override { transmit({PacketKind::request}); }
  void answer() noexcept override { transmit({PacketKind::answer}); }
  std::size_t send(std::span<const ConstBytes> pieces) noexcept override;
  std::size_t read(std::span<std::byte> into) noexcept override;
  void end_sending() noexcept override;
  void close() noexcept override;
  void abort() noexcept override;

 private:
  friend struct LocalConnection;

  enum class Phase : std::uint8_t {
    connecting,   ///< the client waits for the answer, the server for the confirmation
    established,  ///< each direction ends by itself
    broken,       ///< the peer's reset arrived
    closed,       ///< by its user
    silent        ///< closed, and the peer was told by a reset if it had to know
  };

  enum class PacketKind : std::uint8_t {
    request,  ///< to connect
    answer,   ///< yes, come
    confirm,  ///< so we are connected
    data,
    end,   ///< of data
    gone,  ///< of data, and there is nobody to send to
    reset  ///< also the answer no
  };

  struct Packet {
    PacketKind kind{};
    /// Of data; its bytes are already in the ring of the socket it travels to.
    std::size_t size = 0;
  };

  LocalStreamSocket& peer() const noexcept;
  Network& network() const noexcept;
  void transmit(Packet packet) noexcept;
  void arrive(const Packet& packet) noexcept;
  void arrive_at_closed(const Packet& packet) noexcept;
  void establish_client() noexcept;
  void request_arrived() noexcept;
  void gone_arrived() noexcept;
  void reset_arrived() noexcept;

  LocalConnection& connection_;
  Address local_;
  Phase phase_ = Phase::connecting;
  bool end_sent_ = false;
  bool peer_gone_ = false;
  TimePoint last_arrival_{};  ///< of what is on its way here; the next comes no earlier
  ByteRing ring_;
  std::size_t unread_ = 0;
};

/// Both ends. Lives while a channel, a queue or a packet needs one of them.
struct LocalConnection : std::enable_shared_from_this<LocalConnection> {
  LocalConnection(Host& its_host, ConnectionKind kind, const Address& from, const Address& to)
      : host(its_host), client(*this, kind, from), server(*this, kind, to) {}

  /// A pipe: all its life from the client, which writes, to the server, which reads.
  explicit LocalConnection(Host& its_host)
      : LocalConnection(its_host, ConnectionKind::pipe, {}, {}) {
    client.phase_ = server.phase_ = LocalStreamSocket::Phase::established;
    server.end_sent_ = true;
  }

  Host& host;
  LocalStreamSocket client;
  LocalStreamSocket server;
};

}  // namespace weir::inline v0::detail::simulated
