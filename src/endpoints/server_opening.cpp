#include <weir/server.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "address_order.h"
#include "loop.h"
#include "opening.h"
#include "opening_errors.h"
#include "resolver.h"
#include "server_core.h"

namespace weir::inline v0::detail {
namespace {

using Channels = std::vector<std::unique_ptr<ListenChannel>>;

/// One create_server(): resolves its hosts, one after the other, then binds to all addresses, and
/// listens. What is bound is closed again if anything fails.
class ServerOpening final : public Opening {
 public:
  ServerOpening(Loop& loop, ProtocolFactory make_protocol, const ServerOptions& options,
                Future<Server> future)
      : Opening(loop),
        make_protocol_(std::move(make_protocol)),
        options_(options),
        future_(std::move(future)) {}

  void resolve_all(Hosts hosts, std::uint16_t port);
  void adopt(int descriptor);

 private:
  void resolve_next();
  void bind_all();
  void open(Channels channels);
  void fail(std::exception_ptr error) override;

  ProtocolFactory make_protocol_;
  ServerOptions options_;
  Future<Server> future_;
  std::vector<std::string> hosts_;  ///< still to be resolved
  std::uint16_t port_ = 0;
  std::vector<Address> addresses_;
};

/// A family this machine does not have, or an address of it that no interface has. [V3]
bool may_be_skipped(std::error_code error) noexcept {
  return error == std::errc::address_family_not_supported ||
         error == std::errc::protocol_not_supported || error == std::errc::address_not_available;
}

/// Binds to each of `addresses`; throws std::system_error if one fails, or all were skipped. [V3]
Channels bound(Backend& backend, const std::vector<Address>& addresses,
               const ListenOptions& options) {
  Channels channels;
  std::optional<std::system_error> skipped;
  for (const Address& address : addresses) {
    Result<std::unique_ptr<ListenChannel>> channel = backend.bind(address, options);
    if (channel) {
      channels.push_back(std::move(channel.value()));
      continue;
    }
    const std::string what = "bind to " + address.to_string();
    if (!may_be_skipped(channel.error())) throw std::system_error(channel.error(), what);
    if (!skipped) skipped.emplace(channel.error(), what);
  }
  if (channels.empty() && skipped) throw std::system_error(*skipped);
  return channels;
}

/// No host, and an empty one, is all interfaces.
void ServerOpening::resolve_all(Hosts hosts, std::uint16_t port) {
  hosts_ = hosts.names();
  if (hosts_.empty()) hosts_.emplace_back();
  std::ranges::reverse(hosts_);
  port_ = port;
  resolve_next();
}

void ServerOpening::resolve_next() {
  const std::string host = std::move(hosts_.back());
  hosts_.pop_back();
  const ResolveOptions options{
      .family = options_.family, .type = SocketType::stream, .flags = passive_flag};
  resolve(host, port_, options, [this](const std::vector<Address>& found) {
    addresses_.insert(addresses_.end(), found.begin(), found.end());
    hosts_.empty() ? bind_all() : resolve_next();
  });
}

void ServerOpening::bind_all() {
  const ListenOptions options{.reuse_address = options_.reuse_address,
                              .reuse_port = options_.reuse_port,
                              .keep_alive = options_.keep_alive};
  Channels channels;
  try {
    channels = bound(loop().backend(), without_duplicates(addresses_), options);
  } catch (const std::system_error&) {
    return fail(std::current_exception());
  }
  open(std::move(channels));
}

void ServerOpening::adopt(int descriptor) {
  Result<std::unique_ptr<ListenChannel>> adopted = loop().backend().adopt_listener(descriptor);
  if (!adopted) return refuse(adoption_failure(adopted.error(), descriptor));
  Channels channels;
  channels.push_back(std::move(adopted.value()));
  later(*this, [channels = std::move(channels)](ServerOpening& self) mutable {
    self.open(std::move(channels));
  });
}

void ServerOpening::open(Channels channels) {
  const auto core =
      ServerCore::make(loop(), std::move(make_protocol_), std::move(channels), options_.backlog);
  if (std::exception_ptr error = options_.start_serving ? core->listen() : nullptr) {
    core->close();
    return fail(std::move(error));
  }
  const Future<Server> future = future_;
  finish();
  future.set_result(core->handle());
}

void ServerOpening::fail(std::exception_ptr error) {
  const Future<Server> future = future_;
  finish();
  future.set_exception(std::move(error));
}

/// What is wrong with the arguments, null if nothing is. [V2]
const char* misuse_of(bool has_address, bool has_socket) noexcept {
  if (has_address && has_socket) {
    return "create_server() takes either hosts and a port or options.sock, not both";
  }
  if (!has_address && !has_socket) {
    return "create_server() needs hosts and a port, or a bound socket in options.sock";
  }
  return nullptr;
}

}  // namespace

Future<Server> start_server(EventLoop& loop, ProtocolFactory make_protocol,
                            std::optional<Hosts> hosts, std::optional<std::uint16_t> port,
                            ServerOptions options) {
  Future<Server> future(loop);
  Loop& inner = Loop::of(loop);
  if (inner.is_closed()) {
    future.set_exception(std::make_exception_ptr(WrongStateError("Event loop is closed")));
    return future;
  }
  auto& opening =
      inner.own(std::make_unique<ServerOpening>(inner, std::move(make_protocol), options, future));
  FutureAccess::state(future)->set_cancel_hook(opening.cancel_hook());
  if (const char* misuse = misuse_of(hosts || port, options.sock.has_value())) {
    opening.refuse(std::make_exception_ptr(std::invalid_argument(misuse)));
  } else if (options.sock) {
    opening.adopt(*options.sock);
  } else {
    opening.resolve_all(std::move(hosts).value_or(Hosts()), port.value_or(0));
  }
  return future;
}

}  // namespace weir::inline v0::detail
