#pragma once

#include <weir/address.h>
#include <weir/event_loop.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/server.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "opening.h"
#include "server_core.h"
#include "tls_plan.h"

namespace weir::inline v0::detail {

/// One opening of a server: resolves its hosts, one after the other, then binds to all addresses, and
/// listens. What is bound is closed again if anything fails.
class ServerOpening final : public Opening {
 public:
  /// Makes one and lets `start` choose how it begins; what `start` throws it fails with.
  static Future<Server> begin(EventLoop& loop, ProtocolFactory make_protocol,
                              const ServerOptions& options, AtClose at_close,
                              UniqueFunction<void(ServerOpening&)> start);

  ServerOpening(Loop& loop, ProtocolFactory make_protocol, ServerOptions options, AtClose at_close,
                Future<Server> future)
      : Opening(loop),
        make_protocol_(std::move(make_protocol)),
        options_(std::move(options)),
        at_close_(at_close),
        future_(std::move(future)) {}

  /// Before any of the others: every connection carries TLS.
  void use_tls(std::optional<TlsPlan> plan) { tls_ = std::move(plan); }

  void serve_at(Hosts hosts, std::uint16_t port);
  void serve_at(Address address);
  // These throw if the descriptor is not what is wanted; it then stays the caller's. [N9]
  void adopt_socket(int descriptor);
  void adopt_unix_socket(int descriptor);

 private:
  void resolve_next();
  void bind_all();
  void open(ListenChannels channels);
  void fail(std::exception_ptr error) override;

  ProtocolFactory make_protocol_;
  ServerOptions options_;
  AtClose at_close_;
  std::optional<TlsPlan> tls_;
  Future<Server> future_;
  std::vector<std::string> hosts_;  ///< still to be resolved
  std::uint16_t port_ = 0;
  std::vector<Address> addresses_;
};

}  // namespace weir::inline v0::detail
