#include <weir/connect.h>

#include <optional>
#include <string>
#include <utility>

#include "connecting.h"
#include "opening_errors.h"
#include "tls_terms.h"

namespace weir::inline v0::detail {

FutureState::CancelHook start_connecting(EventLoop& loop, ProtocolFactory make_protocol,
                                         const std::optional<std::string>& host,
                                         std::optional<std::uint16_t> port, ConnectOptions options,
                                         ConnectSink sink) {
  return Connecting::begin<Connecting>(
      loop, std::move(make_protocol), std::move(sink), [&](Connecting& connecting) {
        require_one({"create_connection", "a host and a port", "a connected socket"}, host || port,
                    options.sock.has_value());
        connecting.use_tls(client_plan(tls_terms("create_connection", options), host));
        if (options.sock) return connecting.adopt_socket(*options.sock);
        connecting.connect_to(host.value_or(""), port.value_or(0), std::move(options));
      });
}

FutureState::CancelHook start_accepted(EventLoop& loop, ProtocolFactory make_protocol, int socket,
                                       AcceptedOptions options, ConnectSink sink) {
  return Connecting::begin<Connecting>(
      loop, std::move(make_protocol), std::move(sink), [&](Connecting& connecting) {
        connecting.use_tls(server_plan(tls_terms("connect_accepted_socket", options)));
        connecting.adopt_socket(socket);
      });
}

}  // namespace weir::inline v0::detail
