#include "tls_upgrade.h"

#include <memory>
#include <utility>

#include "tls_channel.h"
#include "tls_handshake.h"

namespace weir::inline v0::detail {

AnyProtocol tls_handshake(Loop& loop, const TlsPlan& plan, AnyProtocol protocol,
                          TransportReady ready) {
  return std::make_shared<TlsHandshake>(loop, plan, std::move(protocol), std::move(ready));
}

FutureState::CancelHook tls_handshake_over(Loop& loop, const TlsPlan& plan, StreamTransport& below,
                                           AnyProtocol protocol, TransportReady ready) {
  const auto handshake =
      TlsHandshake::take_over(loop, plan, below, std::move(protocol), std::move(ready));
  return [weak = std::weak_ptr(handshake)] {
    if (const auto running = weak.lock()) running->cancel();
    return false;
  };
}

void close_in_order(StreamTransport& transport) {
  const auto below = std::dynamic_pointer_cast<TlsBelow>(transport.protocol());
  StreamTransport* const above = below != nullptr ? below->above() : nullptr;
  above != nullptr ? close_in_order(*above) : transport.close();
}

}  // namespace weir::inline v0::detail
