#pragma once

#include <weir/address.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "simulated_signals.h"
#include "simulated_sockets.h"

// The channels of streams: connected ones, listening ones, and attempts to connect.
namespace weir::inline v0::detail::simulated {

/// What a Unix socket of the simulation does besides carrying bytes. There are no descriptors to pass;
/// whom it is connected to is the one process there is.
class SimulatedLocalSocket final : public LocalSocket {
 public:
  /// Throws operation_not_supported if there are any.
  std::vector<Fd> duplicates(std::span<const int> descriptors) const override;
  void send_along(std::vector<Fd>) noexcept override {}
  void receive_descriptors(bool) noexcept override {}
  std::vector<Fd> take_received() noexcept override { return {}; }
  std::optional<PeerCredentials> peer_credentials() const noexcept override {
    return PeerCredentials{.process_id = 1, .user_id = 0, .group_id = 0};
  }
};

/// A connected stream, or one end of a pipe: a socket, and what its user wants to hear of it.
class Stream final : public StreamChannel, private SocketUser {
 public:
  /// `held` is released at its end: what holds the local address, unless that is a listener's, or the
  /// number of a pipe's end.
  Stream(Signals& signals, std::shared_ptr<Socket> socket, std::shared_ptr<void> held = nullptr)
      : signals_(signals), socket_(std::move(socket)), held_(std::move(held)) {
    socket_->set_user(*this);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() override {
    if (life_ != Life::closed) socket_->close();
  }

  void attach(StreamEvents& events) noexcept override { events_ = &events; }
  void start_receiving() noexcept override;
  void stop_receiving() noexcept override;
  SendResult try_send(std::span<const ConstBytes> pieces) noexcept override;
  void start_sending() noexcept override;
  void shutdown_send() noexcept override;
  void close() noexcept override;
  Address local_address() const override { return socket_->local_address(); }
  int descriptor() const noexcept override { return -1; }
  LocalSocket* local_socket() noexcept override {
    return socket_->kind() == ConnectionKind::local ? &local_socket_ : nullptr;
  }

 private:
  enum class Life : std::uint8_t { open, failed, closed };

  void socket_changed() noexcept override;
  void enter(Life life) noexcept;
  bool deliver_receive() noexcept;
  bool deliver_send() noexcept;
  bool deliver_closed() noexcept;
  bool receive() noexcept;
  bool broken() const noexcept { return bool(socket_->error()); }
  bool fail(std::error_code error) noexcept;

  Signals& signals_;
  std::shared_ptr<Socket> socket_;
  std::shared_ptr<void> held_;
  SimulatedLocalSocket local_socket_;
  StreamEvents* events_ = nullptr;
  Life life_ = Life::open;
  bool receiving_ = false;
  bool eof_told_ = false;
  bool sending_ = false;
  SignalOf<Stream> receive_signal_{*this, &Stream::deliver_receive};
  SignalOf<Stream> send_signal_{*this, &Stream::deliver_send};
  SignalOf<Stream> closed_signal_{*this, &Stream::deliver_closed};
};

/// A held address, and the queue of those who come to it.
class Listener final : public ListenChannel, private SocketUser {
 public:
  Listener(Signals& signals, std::unique_ptr<Binding> binding, bool keep_alive) noexcept
      : signals_(signals), binding_(std::move(binding)) {
    queue_.set_keep_alive(keep_alive);
  }

  std::error_code start_accepting(ListenEvents& events, int backlog) noexcept override;
  void stop_accepting() noexcept override;
  std::error_code remove_path() noexcept override {
    binding_->remove_path();
    return {};
  }
  Address local_address() const override { return binding_->address(); }
  int descriptor() const noexcept override { return -1; }

 private:
  void socket_changed() noexcept override;
  bool deliver() noexcept;

  Signals& signals_;
  AcceptQueue queue_{*this};
  std::unique_ptr<Binding> binding_;
  ListenEvents* events_ = nullptr;
  bool accepting_ = false;
  std::size_t batch_left_ = 0;  ///< how many more may be accepted in this dispatch()
  SignalOf<Listener> signal_{*this, &Listener::deliver};
};

/// A socket that is connecting, until a channel takes it over.
class Attempt final : public ConnectAttempt, private SocketUser {
 public:
  Attempt(Signals& signals, std::shared_ptr<Socket> socket, std::unique_ptr<Binding> binding,
          ConnectEvents& events) noexcept
      : signals_(signals),
        socket_(std::move(socket)),
        binding_(std::move(binding)),
        events_(events) {
    socket_->set_user(*this);
    socket_->connect();
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  ~Attempt() override {
    if (socket_ != nullptr) socket_->close();
  }

 private:
  void socket_changed() noexcept override { signals_.raise(signal_); }
  bool deliver() noexcept;

  Signals& signals_;
  std::shared_ptr<Socket> socket_;  ///< null once it is a channel's
  std::unique_ptr<Binding> binding_;
  ConnectEvents& events_;
  SignalOf<Attempt> signal_{*this, &Attempt::deliver};
};

}  // namespace weir::inline v0::detail::simulated
