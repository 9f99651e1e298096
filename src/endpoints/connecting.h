#pragma once

#include <weir/address.h>
#include <weir/connect.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "connect_race.h"
#include "stream_transport.h"
#include "tls_plan.h"
#include "transport_opening.h"

namespace weir::inline v0::detail {

/// One opening of a stream, from the call to connection_made():
///
///     resolve -> race -+-> build
///     adopt -----------+
///
/// It begins with a name, an address, or a descriptor that is open already. Each arrow is a turn of the
/// loop or more, and any of them may be the last.
class Connecting final : public TransportOpening<Transport, AnyProtocol>, public RaceEvents {
 public:
  using TransportOpening::TransportOpening;

  /// Before any of the others: what is opened carries TLS.
  void use_tls(std::optional<TlsPlan> plan) { tls_ = std::move(plan); }

  void connect_to(const std::string& host, std::uint16_t port, ConnectOptions options);
  void connect_to(Address remote);
  // These throw if the descriptor is not what is wanted; it then stays the caller's. [N9]
  void adopt_socket(int descriptor);
  void adopt_unix_socket(int descriptor);
  void adopt_pipe(int descriptor, PipeEnd end);

 private:
  void resolve_local();
  void race();
  void race_won(std::unique_ptr<StreamChannel> channel, const Address& remote) noexcept override;
  void race_lost(std::vector<std::system_error> errors) noexcept override;

  Transport start(AnyProtocol protocol, Outcome outcome) override;
  void abort(const Transport& transport) override;

  ResolveOptions resolve_options() const;

  ConnectOptions options_{};
  RacePlan plan_{};
  std::optional<ConnectRace> race_;
  std::unique_ptr<StreamChannel> channel_;
  StreamRole role_ = StreamRole::socket;
  Address peer_;
  std::optional<TlsPlan> tls_;
};

}  // namespace weir::inline v0::detail
