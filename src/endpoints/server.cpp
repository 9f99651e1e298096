#include <weir/server.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "opening_errors.h"
#include "server_core.h"
#include "server_opening.h"
#include "tls_terms.h"

namespace weir::inline v0 {
namespace {

/// Futures need a server; the other calls take none for one that is closed.
detail::ServerCore& existing(const std::shared_ptr<detail::ServerCore>& core) {
  if (core == nullptr) throw WrongStateError("this server names nothing");
  return *core;
}

}  // namespace

std::vector<SocketView> Server::sockets() const {
  return core_ != nullptr ? core_->sockets() : std::vector<SocketView>();
}

bool Server::is_serving() const { return core_ != nullptr && core_->is_serving(); }

EventLoop* Server::get_loop() const { return core_ != nullptr ? core_->loop() : nullptr; }

Future<void> Server::start_serving() const {
  detail::ServerCore& core = existing(core_);
  Future<void> future = core.make_future();
  if (std::exception_ptr error = core.listen()) {
    future.set_exception(std::move(error));
  } else {
    future.set_result();
  }
  return future;
}

Future<void> Server::serve_forever() const { return existing(core_).serve_forever(); }

void Server::close() const {
  // A copy: this handle may be the user's who is told, and goes.
  if (const auto core = core_) core->close();
}

void Server::close_clients() const {
  if (const auto core = core_) core->close_clients();
}

void Server::abort_clients() const {
  if (const auto core = core_) core->abort_clients();
}

Future<void> Server::wait_closed() const { return existing(core_).wait_closed(); }

Future<Server> detail::start_server(EventLoop& loop, ProtocolFactory make_protocol,
                                    std::optional<Hosts> hosts, std::optional<std::uint16_t> port,
                                    ServerOptions options) {
  return ServerOpening::begin(
      loop, std::move(make_protocol), options, AtClose::leave_paths, [&](ServerOpening& opening) {
        require_one({"create_server", "hosts and a port", "a bound socket"}, hosts || port,
                    options.sock.has_value());
        opening.use_tls(server_plan(tls_terms("create_server", options)));
        if (options.sock) return opening.adopt_socket(*options.sock);
        opening.serve_at(std::move(hosts).value_or(Hosts()), port.value_or(0));
      });
}

}  // namespace weir::inline v0
