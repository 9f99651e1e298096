#include "server_opening.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>

#include "address_order.h"
#include "loop.h"
#include "opening_errors.h"
#include "resolver.h"

namespace weir::inline v0::detail {
namespace {

/// A family this machine does not have, or an address of it that no interface has. [V3]
bool may_be_skipped(std::error_code error) noexcept {
  return error == std::errc::address_family_not_supported ||
         error == std::errc::protocol_not_supported || error == std::errc::address_not_available;
}

/// Binds to each of `addresses`; throws std::system_error if one fails, or all were skipped. [V3]
ListenChannels bound(Backend& backend, const std::vector<Address>& addresses,
                     const ListenOptions& options) {
  ListenChannels channels;
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

}  // namespace

Future<Server> ServerOpening::begin(EventLoop& loop, ProtocolFactory make_protocol,
                                    const ServerOptions& options, AtClose at_close,
                                    UniqueFunction<void(ServerOpening&)> start) {
  Future<Server> future(loop);
  Loop& inner = Loop::of(loop);
  if (inner.is_closed()) {
    future.set_exception(std::make_exception_ptr(WrongStateError("Event loop is closed")));
    return future;
  }
  ServerOpening& opening = inner.own(
      std::make_unique<ServerOpening>(inner, std::move(make_protocol), options, at_close, future));
  FutureAccess::state(future)->set_cancel_hook(opening.cancel_hook());
  try {
    start(opening);
  } catch (...) {
    opening.refuse(std::current_exception());
  }
  return future;
}

// --- Where the channels come from -------------------------------------------------------------------

/// No host, and an empty one, is all interfaces.
void ServerOpening::serve_at(Hosts hosts, std::uint16_t port) {
  hosts_ = hosts.names();
  if (hosts_.empty()) hosts_.emplace_back();
  std::ranges::reverse(hosts_);
  port_ = port;
  resolve_next();
}

void ServerOpening::serve_at(Address address) {
  addresses_.push_back(std::move(address));
  later(*this, [](ServerOpening& self) { self.bind_all(); });
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
  ListenChannels channels;
  try {
    channels = bound(loop().backend(), without_duplicates(addresses_), options);
  } catch (const std::system_error&) {
    return fail(std::current_exception());
  }
  open(std::move(channels));
}

void ServerOpening::adopt_socket(int descriptor) {
  ListenChannels channels;
  channels.push_back(adopted(loop().backend().adopt_listener(descriptor), descriptor));
  later(*this, [channels = std::move(channels)](ServerOpening& self) mutable {
    self.open(std::move(channels));
  });
}

void ServerOpening::adopt_unix_socket(int descriptor) {
  require_unix_socket(loop().backend(), descriptor);
  adopt_socket(descriptor);
}

// --- What becomes of them ---------------------------------------------------------------------------

void ServerOpening::open(ListenChannels channels) {
  const auto core = ServerCore::make(loop(), std::move(make_protocol_), std::move(channels),
                                     options_.backlog, at_close_);
  core->use_tls(std::move(tls_));
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

}  // namespace weir::inline v0::detail
