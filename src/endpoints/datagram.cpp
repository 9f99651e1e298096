#include <weir/datagram.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "datagram_core.h"
#include "loop.h"
#include "opening_errors.h"
#include "transport_opening.h"
#include "unix_address.h"

namespace weir::inline v0::detail {
namespace {

[[noreturn]] void bad_endpoint(const std::string& text) {
  throw std::invalid_argument("create_datagram_endpoint() " + text);
}

/// Throws std::invalid_argument if the options do not go together. [D18]
void require_sense(const DatagramOptions& options) {
  const bool hosts = options.local_addr || options.remote_addr;
  const bool paths = options.local_path || options.remote_path;
  const bool unspecified = options.family == AddressFamily::unspecified;
  if (options.sock) {
    const bool others = hosts || paths || !unspecified || options.protocol != 0 ||
                        options.flags != 0 || options.reuse_port || options.allow_broadcast;
    if (others) bad_endpoint("takes options.sock alone: it is what the other options would make");
    return;
  }
  if (hosts && paths) bad_endpoint("takes hosts and ports, or paths, not both");
  if (!hosts && !paths && unspecified) {
    bad_endpoint("needs an address, or options.family to know what to open without one");
  }
  if (hosts && options.family == AddressFamily::unix_socket) {
    bad_endpoint("takes local_path and remote_path for Unix sockets, not hosts and ports");
  }
  if (paths && !unspecified && options.family != AddressFamily::unix_socket) {
    bad_endpoint(
        "takes local_path and remote_path for Unix sockets only; options.family is another one");
  }
}

/// What was attempted, in words.
std::string attempt(ConnectStep step, const DatagramPlan& plan, const Address& remote) {
  const Address& any = plan.local.empty() ? remote : plan.local;
  const std::string whose = any.empty() ? std::string() : " for " + any.to_string();
  switch (step) {
    case ConnectStep::socket: return "open a datagram socket" + whose;
    case ConnectStep::option: return "set the options of a datagram socket" + whose;
    case ConnectStep::bind: return "bind to " + plan.local.to_string();
    case ConnectStep::connect: break;
  }
  return "connect to " + plan.remote.to_string();
}

/// One create_datagram_endpoint(), from the call to connection_made():
///
///     resolve both sides -> open the first pair that works -+-> build: see TransportOpening
///     adopt ------------------------------------------------+
class OpeningDatagram final
    : public TransportOpening<DatagramTransport, std::shared_ptr<DatagramProtocol>> {
 public:
  using TransportOpening::TransportOpening;

  /// Throws if there is something wrong with the options, or the socket in them, as such. [D18]
  void open(DatagramOptions options);

 private:
  void adopt(int descriptor);
  void resolve_locals();
  void resolve_remotes();
  void open_pairs_later();
  void open_pairs();
  bool open_pair(const Address& local, const Address& remote);

  DatagramTransport start(std::shared_ptr<DatagramProtocol> protocol, Outcome outcome) override;
  void abort(const DatagramTransport& transport) override { transport.abort(); }

  ResolveOptions resolve_options() const {
    return {.family = options_.family,
            .type = SocketType::datagram,
            .protocol = options_.protocol,
            .flags = options_.flags};
  }

  DatagramOptions options_{};
  // One empty address where none was asked for.
  std::vector<Address> locals_{Address()};
  std::vector<Address> remotes_{Address()};
  std::unique_ptr<DatagramChannel> channel_;
  Address remote_;
  std::exception_ptr first_failure_;
};

void OpeningDatagram::open(DatagramOptions options) {
  require_sense(options);
  options_ = std::move(options);
  if (options_.sock) return adopt(*options_.sock);
  if (options_.local_path) locals_ = {unix_address(*options_.local_path)};
  if (options_.remote_path) remotes_ = {unix_address(*options_.remote_path)};
  resolve_locals();
}

void OpeningDatagram::adopt(int descriptor) {
  Result<std::unique_ptr<DatagramChannel>> socket = loop().backend().adopt_datagram(descriptor);
  if (!socket && socket.error() == std::errc::wrong_protocol_type) {
    throw std::invalid_argument("descriptor " + std::to_string(descriptor) +
                                " is not a datagram socket");
  }
  channel_ = adopted(std::move(socket), descriptor);
  build_later();
}

void OpeningDatagram::resolve_locals() {
  if (!options_.local_addr) return resolve_remotes();
  const auto& [host, port] = *options_.local_addr;
  resolve(host, port, resolve_options(), [this](std::vector<Address> locals) {
    locals_ = std::move(locals);
    resolve_remotes();
  });
}

void OpeningDatagram::resolve_remotes() {
  if (!options_.remote_addr) return open_pairs_later();
  const auto& [host, port] = *options_.remote_addr;
  resolve(host, port, resolve_options(), [this](std::vector<Address> remotes) {
    remotes_ = std::move(remotes);
    open_pairs_later();
  });
}

void OpeningDatagram::open_pairs_later() {
  later(*this, [](OpeningDatagram& self) { self.open_pairs(); });
}

/// Those of one family, in order; the first that works wins, else the first failure is told. [D19]
void OpeningDatagram::open_pairs() {
  for (const Address& local : locals_) {
    for (const Address& remote : remotes_) {
      const bool fit = local.empty() || remote.empty() || local.family() == remote.family();
      if (fit && open_pair(local, remote)) return build_later();
    }
  }
  if (first_failure_ != nullptr) return fail(first_failure_);
  fail(std::make_exception_ptr(std::invalid_argument(
      "can not get address information: local_addr and remote_addr have no family in common")));
}

bool OpeningDatagram::open_pair(const Address& local, const Address& remote) {
  const Address& named = local.empty() ? remote : local;
  const DatagramPlan plan{.family = named.empty() ? options_.family : named.family(),
                          .local = local,
                          .remote = options_.allow_broadcast ? Address() : remote,  // [D20]
                          .reuse_port = options_.reuse_port,
                          .allow_broadcast = options_.allow_broadcast};
  DatagramOpened opened = loop().backend().open_datagram(plan);
  if (opened.channel == nullptr) {
    if (first_failure_ == nullptr) {
      first_failure_ = std::make_exception_ptr(
          std::system_error(opened.error, attempt(opened.step, plan, remote)));
    }
    return false;
  }
  channel_ = std::move(opened.channel);
  remote_ = remote;
  return true;
}

DatagramTransport OpeningDatagram::start(std::shared_ptr<DatagramProtocol> protocol,
                                         Outcome outcome) {
  return DatagramCore::start(loop(), {.channel = std::move(channel_),
                                      .protocol = std::move(protocol),
                                      .remote = std::move(remote_),
                                      .ready = outcome})
      .handle();
}

}  // namespace

FutureState::CancelHook start_datagram(EventLoop& loop, DatagramProtocolFactory make_protocol,
                                       DatagramOptions options, DatagramSink sink) {
  return OpeningDatagram::begin<OpeningDatagram>(
      loop, std::move(make_protocol), std::move(sink),
      [&](OpeningDatagram& opening) { opening.open(std::move(options)); });
}

}  // namespace weir::inline v0::detail
