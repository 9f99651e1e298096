#pragma once

#include <weir/address.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "byte_ring.h"
#include "simulated_network.h"

// The part of the pretended kernel that streams are made of. Everything that travels is a packet: a
// request to connect and its answers, data, the end of data, a reset. Socket::transmit() is the one
// place where packets set out, and Socket::arrive() the one where they come in.
namespace weir::inline v0::detail::simulated {

struct Connection;

/// What differs is the end. Over the internet the loss of the peer is learnt by sending to it; within
/// a machine the kernel tells at once. Bytes that were not read break a socket, but not a pipe.
enum class ConnectionKind : std::uint8_t { internet, local, pipe };

enum class PacketKind : std::uint8_t {
  request,  ///< to connect
  answer,   ///< yes, come
  confirm,  ///< so we are connected
  data,
  end,   ///< of data
  gone,  ///< of data, and there is nobody to send to: Unix sockets and pipes
  reset  ///< also the answer no
};

struct Packet {
  PacketKind kind;
  std::size_t size = 0;  ///< of data; its bytes are already in the ring of the socket it travels to
};

/// One end of a connection, as the kernel sees it.
///
/// Its ring holds what the peer sent and its user has not read: first the bytes that arrived, then
/// those on their way. Together they are what flow control limits.
class Socket final : public Arriving {
 public:
  enum class Phase : std::uint8_t {
    connecting,   ///< the client waits for the answer, the server for the confirmation
    established,  ///< each direction ends by itself
    broken,       ///< the peer's reset arrived
    closed,       ///< by its user; data that still arrives is answered with a reset
    silent        ///< closed, and the peer was told by a reset if it had to know
  };

  Socket(Network& network, Connection& connection, Address local)
      : network_(network), connection_(connection), local_(std::move(local)) {}

  Phase phase() const noexcept { return phase_; }
  const Address& local_address() const noexcept { return local_; }
  ConnectionKind kind() const noexcept;
  Socket& peer() const noexcept;
  std::shared_ptr<Socket> shared() noexcept;
  void set_user(SocketUser& user) noexcept { user_ = &user; }

  /// How many bytes can be read.
  std::size_t unread() const noexcept { return unread_; }
  /// True if the peer's end of data is next, once all is read.
  bool end_arrived() const noexcept { return end_arrived_; }
  /// Why the connection is broken, if it is.
  std::error_code error() const noexcept { return error_; }
  /// Why nothing can be sent, ever; no room is no reason.
  std::error_code send_error() const noexcept;
  std::size_t room() const noexcept { return network_.buffer_size() - peer().ring_.size(); }

  /// Asks for the connection.
  void connect() noexcept { transmit({PacketKind::request}); }
  /// Grants what the peer asked for; `queue` is told how that goes on.
  void answer() noexcept { transmit({PacketKind::answer}); }
  void wait_in(AcceptQueue* queue) noexcept { queue_ = queue; }

  /// Takes as much as there is room for.
  std::size_t send(std::span<const ConstBytes> pieces) noexcept;
  std::size_t read(std::span<std::byte> into) noexcept;
  void end_sending() noexcept;
  /// Its user is gone. As a kernel, tells the peer by a reset if data is lost by that.
  void close() noexcept;
  /// Its user is gone, or never was; tells the peer by a reset.
  void abort() noexcept;

  /// The first packet on its way is here.
  void arrive() noexcept override;

 private:
  friend struct Connection;

  void transmit(Packet packet) noexcept;
  void arrive_at_closed(const Packet& packet) noexcept;
  void establish_client() noexcept;
  void request_arrived() noexcept;
  void gone_arrived() noexcept;
  void reset_arrived() noexcept;
  void changed() noexcept {
    if (user_ != nullptr) user_->socket_changed();
  }

  Network& network_;
  Connection& connection_;
  Address local_;
  SocketUser* user_ = nullptr;
  AcceptQueue* queue_ = nullptr;  ///< where it waits to be accepted
  Phase phase_ = Phase::connecting;
  bool end_sent_ = false;
  bool end_arrived_ = false;
  bool peer_gone_ = false;
  std::error_code error_;
  std::deque<Packet> arriving_;
  TimePoint last_arrival_{};  ///< of what is on its way; the next comes no earlier
  ByteRing ring_;
  std::size_t unread_ = 0;
};

/// Both ends. Lives while a channel, a queue or a packet needs one of them.
struct Connection : std::enable_shared_from_this<Connection> {
  Connection(Network& network, ConnectionKind its_kind, const Address& from, const Address& to)
      : kind(its_kind), client(network, *this, from), server(network, *this, to) {}

  /// A pipe: all its life from the client, which writes, to the server, which reads.
  explicit Connection(Network& network) : Connection(network, ConnectionKind::pipe, {}, {}) {
    client.phase_ = server.phase_ = Socket::Phase::established;
    server.end_sent_ = true;
  }

  const ConnectionKind kind;
  Socket client;
  Socket server;
};

/// The connections to one listening address that were not accepted yet.
class AcceptQueue {
 public:
  explicit AcceptQueue(SocketUser& user) noexcept : user_(user) {}
  AcceptQueue(const AcceptQueue&) = delete;
  AcceptQueue& operator=(const AcceptQueue&) = delete;
  ~AcceptQueue();

  /// As in Linux, a backlog of n lets n + 1 wait.
  void set_backlog(int backlog) noexcept;
  std::size_t capacity() const noexcept { return capacity_; }

  /// True if there is none to take().
  bool empty() const noexcept { return complete_.empty(); }
  std::shared_ptr<Socket> take() noexcept;

  void requested(Socket& server) noexcept;
  void confirmed(Socket& server) noexcept;
  void gone(Socket& server) noexcept;

 private:
  void answer_waiting() noexcept;
  std::shared_ptr<Socket> take_answered(Socket& server) noexcept;

  SocketUser& user_;
  std::size_t capacity_ = 0;
  std::deque<std::shared_ptr<Socket>> waiting_;    ///< for room: not answered
  std::vector<std::shared_ptr<Socket>> answered_;  ///< not confirmed
  std::deque<std::shared_ptr<Socket>> complete_;
};

/// Who takes connections to `address`. Errors: as AddressBook::find_name(), and connection_refused.
Result<AcceptQueue*> listener_at(const AddressBook& addresses, const Address& address);

}  // namespace weir::inline v0::detail::simulated
