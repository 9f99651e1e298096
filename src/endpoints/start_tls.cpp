#include <weir/tls.h>

#include <exception>
#include <stdexcept>
#include <utility>

#include "live_handle.h"
#include "loop.h"
#include "stream_transport.h"
#include "tls_terms.h"
#include "tls_upgrade.h"

namespace weir::inline v0 {
namespace detail {
namespace {

/// The transport behind `handle`, if it can be upgraded. [T23]
StreamTransport& upgradable(const Transport& handle) {
  StreamTransport* const transport = on_its_thread(StreamTransport::of(handle));
  if (transport == nullptr || transport->is_closing()) {
    throw WrongStateError("start_tls() on a transport that is closing");
  }
  if (transport->is_pipe()) {
    throw std::invalid_argument(
        "start_tls() needs both directions, and this transport is of a pipe");
  }
  if (transport->has_written_eof()) {
    throw WrongStateError("Cannot call start_tls() after write_eof()");
  }
  transport->require_unlocked("unable to start TLS");
  return *transport;
}

TlsPlan plan_of(const TlsContext& context, const StartTlsOptions& options) {
  const TlsTerms terms{.call = "start_tls",
                       .context = context,
                       .server_hostname = options.server_hostname,
                       .handshake_timeout = options.tls_handshake_timeout,
                       .shutdown_timeout = options.tls_shutdown_timeout};
  if (context.is_server() && options.server_hostname) {
    throw std::invalid_argument(
        "start_tls: server_hostname is for clients, and the context is a server's");
  }
  return context.is_server() ? *server_plan(terms) : *client_plan(terms, std::nullopt);
}

}  // namespace
}  // namespace detail

Future<Transport> start_tls(EventLoop& loop, const Transport& transport, AnyProtocol protocol,
                            const TlsContext& context, const StartTlsOptions& options) {
  using namespace detail;
  Future<Transport> future(loop);
  try {
    Loop& inner = Loop::of(loop);
    inner.require_open();
    StreamTransport& below = upgradable(transport);
    if (protocol.stream() == nullptr && protocol.buffered() == nullptr) {
      throw std::invalid_argument("start_tls() needs a Protocol or a BufferedProtocol");
    }
    auto cancel = tls_handshake_over(
        inner, plan_of(context, options), below, std::move(protocol),
        [future](const Transport& above, const std::exception_ptr& error) {
          if (future.done()) return;
          error == nullptr ? future.set_result(above) : future.set_exception(error);
        });
    FutureAccess::state(future)->set_cancel_hook(std::move(cancel));
  } catch (...) {
    future.set_exception(std::current_exception());
  }
  return future;
}

}  // namespace weir::inline v0
