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
#include "simulated_network.h"

namespace weir::inline v0::detail::simulated {

class AcceptQueue;

/// Over the internet the loss of the peer is learnt by sending to it; within a machine the kernel tells at
/// once. Bytes that were not read break a socket, but not a pipe.
enum class ConnectionKind : std::uint8_t { internet, local, pipe };

/// One end of a stream, as the kernel sees it.
class Socket {
 public:
  explicit Socket(ConnectionKind kind) noexcept : kind_(kind) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  virtual ~Socket() = default;

  virtual std::shared_ptr<Socket> shared() noexcept = 0;
  ConnectionKind kind() const noexcept { return kind_; }
  virtual Address local_address() const = 0;
  virtual Address peer_address() const = 0;
  void set_user(SocketUser& user) noexcept { user_ = &user; }

  /// How many bytes can be read.
  virtual std::size_t unread() const noexcept = 0;
  /// True if the peer's end of data is next, once all is read.
  bool end_arrived() const noexcept { return end_arrived_; }
  /// Why the connection is broken, if it is.
  std::error_code error() const noexcept { return error_; }
  /// Why nothing can be sent, ever; no room is no reason.
  virtual std::error_code send_error() const noexcept = 0;
  virtual std::size_t room() const noexcept = 0;

  /// Asks for the connection.
  virtual void connect() noexcept = 0;
  /// Takes as much as there is room for.
  virtual std::size_t send(std::span<const ConstBytes> pieces) noexcept = 0;
  virtual std::size_t read(std::span<std::byte> into) noexcept = 0;
  virtual void end_sending() noexcept = 0;
  /// Its user is gone. As a kernel, tells the peer by a reset if data is lost by that.
  virtual void close() noexcept = 0;
  /// Its user is gone, or never was; tells the peer by a reset.
  virtual void abort() noexcept = 0;

  /// Grants what the peer asked for; the queue is told how that goes on.
  virtual void answer() noexcept {}
  void wait_in(AcceptQueue* queue) noexcept { queue_ = queue; }

 protected:
  void changed() noexcept {
    if (user_ != nullptr) user_->socket_changed();
  }

  SocketUser* user_ = nullptr;
  AcceptQueue* queue_ = nullptr;  ///< where it waits to be accepted
  const ConnectionKind kind_;
  bool end_arrived_ = false;
  std::error_code error_;
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
  /// Of those who are accepted here.
  void set_keep_alive(bool enabled) noexcept { keep_alive_ = enabled; }
  bool keep_alive() const noexcept { return keep_alive_; }

  /// True if there is none to take().
  bool empty() const noexcept { return complete_.empty(); }
  std::shared_ptr<Socket> take() noexcept;

  /// `server` was asked for: it is answered once there is room.
  void requested(Socket& server) noexcept;
  /// It was answered, or is now: it is gone or confirmed some time.
  void answered(Socket& server);
  bool has_room() const noexcept { return complete_.size() < capacity_; }
  void confirmed(Socket& server) noexcept;
  void gone(Socket& server) noexcept;

 private:
  void answer_waiting() noexcept;
  std::shared_ptr<Socket> take_answered(Socket& server) noexcept;

  SocketUser& user_;
  std::size_t capacity_ = 0;
  bool keep_alive_ = false;
  std::deque<std::shared_ptr<Socket>> waiting_;    ///< for room: not answered
  std::vector<std::shared_ptr<Socket>> answered_;  ///< not confirmed
  std::deque<std::shared_ptr<Socket>> complete_;
};

/// Who takes connections to `address`. Errors: as AddressBook::find_name(), and connection_refused.
Result<AcceptQueue*> listener_at(const AddressBook& addresses, const Address& address);

}  // namespace weir::inline v0::detail::simulated
