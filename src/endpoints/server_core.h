#pragma once

#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/server.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "backend.h"
#include "intrusive_list.h"
#include "listener.h"
#include "loop.h"
#include "stream_transport.h"
#include "tls_plan.h"

namespace weir::inline v0::detail {

using ListenChannels = std::vector<std::unique_ptr<ListenChannel>>;

/// What becomes of the paths of Unix sockets when their server closes, or its loop does. [V15]
enum class AtClose : bool { leave_paths, remove_paths };

/// What all copies of a Server share: its listening sockets, its connections, who waits for its end.
///
///     bound -> listening -> closed -> over
///
/// The loop keeps it until it is over, that is, closed and without connections, or until the loop is
/// closed, which ends all at once. From then on it is empty, touches no loop, and any thread may
/// destroy it. [V11, V16]
class ServerCore final : public std::enable_shared_from_this<ServerCore>,
                         public ConnectionObserver,
                         public AcceptEvents {
 public:
  /// Owned by `loop`; bound, not listening.
  static std::shared_ptr<ServerCore> make(Loop& loop, ProtocolFactory make_protocol,
                                          ListenChannels channels, int backlog, AtClose at_close);
  ServerCore(Loop& loop, ProtocolFactory make_protocol, int backlog, AtClose at_close);
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;

  /// Before it listens: every connection carries TLS.
  void use_tls(std::optional<TlsPlan> plan) { tls_ = std::move(plan); }

  Server handle() { return Server(shared_from_this()); }

  std::vector<SocketView> sockets() const;
  bool is_serving() const noexcept { return phase_ == Phase::listening; }
  EventLoop* loop() const noexcept { return facade_.get<EventLoop>(); }

  /// Begins to listen, if it has not; null, or why it cannot. [V5]
  std::exception_ptr listen();
  Future<void> serve_forever();
  void close();
  void close_clients();
  void abort_clients();
  Future<void> wait_closed();

  /// A pending future of the server's loop. Throws WrongStateError if that is gone.
  Future<void> make_future() const;

 private:
  class Keeper;
  enum class Phase : std::uint8_t { bound, listening, closed };

  void accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept override;
  void connection_gone(StreamTransport& transport) noexcept override;
  void report_factory_failure(const std::exception_ptr& error);

  bool cancel_serving();
  void close_listeners() noexcept;
  void finish_if_over();
  void let_go() noexcept;

  Loop* loop_;  ///< null once over, or the loop closed
  SlotRef facade_;
  Keeper* keeper_ = nullptr;  ///< as loop_
  ProtocolFactory make_protocol_;
  int backlog_;
  AtClose at_close_;
  std::optional<TlsPlan> tls_;
  Phase phase_ = Phase::bound;
  std::list<Listener> listeners_;
  IntrusiveList<StreamTransport, ServerTag> clients_;  ///< with TLS, what is below it
  std::size_t starting_ = 0;                           ///< connections whose factory is running
  Future<void> serving_;                               ///< of serve_forever()
  std::vector<Future<void>> waiters_;
};

}  // namespace weir::inline v0::detail
