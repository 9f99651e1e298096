#include <weir/unix_socket.h>

#include <optional>
#include <string>
#include <utility>

#include "connecting.h"
#include "opening_errors.h"
#include "server_opening.h"
#include "tls_terms.h"
#include "unix_address.h"

namespace weir::inline v0::detail {

FutureState::CancelHook start_unix_connecting(EventLoop& loop, ProtocolFactory make_protocol,
                                              const std::optional<std::string>& path,
                                              UnixConnectOptions options, ConnectSink sink) {
  return Connecting::begin<Connecting>(
      loop, std::move(make_protocol), std::move(sink), [&](Connecting& connecting) {
        require_one({"create_unix_connection", "a path", "a connected Unix socket"},
                    path.has_value(), options.sock.has_value());
        connecting.use_tls(client_plan(tls_terms("create_unix_connection", options), std::nullopt));
        if (options.sock) return connecting.adopt_unix_socket(*options.sock);
        connecting.connect_to(unix_address(*path));
      });
}

Future<Server> start_unix_server(EventLoop& loop, ProtocolFactory make_protocol,
                                 const std::optional<std::string>& path,
                                 UnixServerOptions options) {
  const ServerOptions general{.backlog = options.backlog, .start_serving = options.start_serving};
  const AtClose at_close = options.cleanup_socket ? AtClose::remove_paths : AtClose::leave_paths;
  return ServerOpening::begin(
      loop, std::move(make_protocol), general, at_close, [&](ServerOpening& opening) {
        require_one({"create_unix_server", "a path", "a bound Unix socket"}, path.has_value(),
                    options.sock.has_value());
        opening.use_tls(server_plan(tls_terms("create_unix_server", options)));
        if (options.sock) return opening.adopt_unix_socket(*options.sock);
        opening.serve_at(unix_address(*path));
      });
}

}  // namespace weir::inline v0::detail
