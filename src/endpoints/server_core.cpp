#include "server_core.h"

#include <weir/exception_context.h>

#include <string>
#include <system_error>
#include <utility>

#include "opening.h"
#include "tls_upgrade.h"

namespace weir::inline v0::detail {

/// The loop's share of a server.
class ServerCore::Keeper final : public Owned {
 public:
  explicit Keeper(std::shared_ptr<ServerCore> core) noexcept : core_(std::move(core)) {}
  ~Keeper() override { core_->let_go(); }

 private:
  std::shared_ptr<ServerCore> core_;
};

std::shared_ptr<ServerCore> ServerCore::make(Loop& loop, ProtocolFactory make_protocol,
                                             ListenChannels channels, int backlog,
                                             AtClose at_close) {
  auto core = std::make_shared<ServerCore>(loop, std::move(make_protocol), backlog, at_close);
  for (auto& channel : channels) core->listeners_.emplace_back(loop, std::move(channel), *core);
  core->keeper_ = &loop.own(std::make_unique<Keeper>(core));
  return core;
}

ServerCore::ServerCore(Loop& loop, ProtocolFactory make_protocol, int backlog, AtClose at_close)
    : loop_(&loop),
      facade_(loop.facade_ref()),
      make_protocol_(std::move(make_protocol)),
      backlog_(backlog),
      at_close_(at_close) {}

std::vector<SocketView> ServerCore::sockets() const {
  std::vector<SocketView> views;
  for (const Listener& listener : listeners_) views.push_back(listener.view());
  return views;
}

Future<void> ServerCore::make_future() const {
  EventLoop* const facade = loop();
  if (facade == nullptr) throw WrongStateError("the loop of the server is gone");
  return Future<void>(*facade);
}

// --- Serving ----------------------------------------------------------------------------------------

std::exception_ptr ServerCore::listen() {
  if (phase_ == Phase::closed) {
    return std::make_exception_ptr(WrongStateError("the server is closed"));
  }
  if (phase_ == Phase::listening) return nullptr;
  for (Listener& listener : listeners_) {
    const std::error_code error = listener.start(backlog_);
    if (!error) continue;
    for (Listener& started : listeners_) started.stop();
    return std::make_exception_ptr(std::system_error(error, "listen on " + listener.name()));
  }
  phase_ = Phase::listening;
  return nullptr;
}

/// The factory is the user's: it may close the server.
void ServerCore::accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept {
  const auto self = shared_from_this();
  StreamTransportParts parts{
      .channel = std::move(channel), .protocol = {}, .peer = peer, .observer = self};
  ++starting_;
  try {
    parts.protocol = made_by(make_protocol_);
    if (tls_) parts.protocol = tls_handshake(*loop_, *tls_, std::move(parts.protocol), {});
    clients_.push_back(StreamTransport::start(*loop_, std::move(parts)));
  } catch (...) {
    parts.channel.reset();
    report_factory_failure(std::current_exception());
  }
  --starting_;
  finish_if_over();
}

/// [B11]
void ServerCore::report_factory_failure(const std::exception_ptr& error) {
  if (loop_->take_if_fatal(error) || !loop_->debug()) return;
  loop_->call_exception_handler(
      {.message = "Error on transport creation for incoming connection", .exception = error});
}

void ServerCore::connection_gone(StreamTransport& transport) noexcept {
  static_cast<ListNode<ServerTag>&>(transport).unlink();
  finish_if_over();
}

/// Cancelling it is deferred: it ends as cancelled when the server is over. [V13]
Future<void> ServerCore::serve_forever() {
  Future<void> future = make_future();
  if (serving_.valid() && !serving_.done()) {
    future.set_exception(std::make_exception_ptr(
        WrongStateError("the server is served already: serve_forever() was called before")));
    return future;
  }
  if (std::exception_ptr error = listen()) {
    future.set_exception(std::move(error));
    return future;
  }
  FutureAccess::state(future)->set_cancel_hook([weak = weak_from_this()] {
    const auto self = weak.lock();
    return self != nullptr && self->cancel_serving();
  });
  serving_ = future;
  return future;
}

/// True if connections are left, whose end is waited for.
bool ServerCore::cancel_serving() {
  close_clients();
  close();
  return keeper_ != nullptr;
}

// --- The end ----------------------------------------------------------------------------------------

void ServerCore::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  close_listeners();
  finish_if_over();
}

void ServerCore::close_listeners() noexcept {
  if (at_close_ == AtClose::remove_paths) {
    for (Listener& listener : listeners_) listener.remove_path();
  }
  listeners_.clear();
}

void ServerCore::close_clients() {
  clients_.for_each([](StreamTransport& client) { close_in_order(client); });
}

void ServerCore::abort_clients() {
  clients_.for_each([](StreamTransport& client) { client.abort({}); });
}

Future<void> ServerCore::wait_closed() {
  Future<void> future = make_future();
  if (keeper_ == nullptr) {
    future.set_result();
  } else {
    std::erase_if(waiters_, [](const Future<void>& waiter) { return waiter.done(); });
    waiters_.push_back(future);
  }
  return future;
}

/// Over: closed, and the last connection is gone, in whichever order. [V11]
void ServerCore::finish_if_over() {
  const bool over = phase_ == Phase::closed && clients_.empty() && starting_ == 0;
  if (!over || keeper_ == nullptr) return;
  const auto self = shared_from_this();
  const auto waiters = std::exchange(waiters_, {});
  const auto serving = std::exchange(serving_, {});
  Loop::destroy(*keeper_);
  for (const Future<void>& waiter : waiters) {
    if (!waiter.done()) waiter.set_result();
  }
  if (serving.valid()) FutureAccess::state(serving)->cancelled_later();
}

/// Called by the keeper's end: the server is over, or the loop closed. Futures still waiting stay
/// pending. The factory and the futures hold what is the user's, so they go now, on this thread.
void ServerCore::let_go() noexcept {
  keeper_ = nullptr;
  loop_ = nullptr;
  phase_ = Phase::closed;
  close_listeners();
  while (!clients_.empty()) clients_.pop_front();
  const auto waiters = std::exchange(waiters_, {});
  const auto serving = std::exchange(serving_, {});
  make_protocol_.reset();
}

}  // namespace weir::inline v0::detail
