#include <weir/connect.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "address_order.h"
#include "connect_race.h"
#include "loop.h"
#include "opening.h"
#include "opening_errors.h"
#include "stream_transport.h"

namespace weir::inline v0::detail {
namespace {

/// One create_connection() or connect_accepted_socket(), from the call to connection_made():
///
///     resolve -> race -+-> build -> start -> connected
///     adopt -----------+
///
/// Each arrow is a turn of the loop or more, and any of them may be the last: see fail(), cancel().
class Connecting final : public Opening, public RaceEvents {
 public:
  Connecting(Loop& loop, ProtocolFactory make_protocol, ConnectOptions options, ConnectSink sink)
      : Opening(loop),
        make_protocol_(std::move(make_protocol)),
        options_(std::move(options)),
        sink_(std::move(sink)) {}

  void resolve_remote(const std::string& host, std::uint16_t port);
  void adopt(int descriptor);

 private:
  void resolve_local();
  void race();
  void race_won(std::unique_ptr<StreamChannel> channel, const Address& remote) noexcept override;
  void race_lost(std::vector<std::system_error> errors) noexcept override;

  void build();
  void start(AnyProtocol protocol);
  void succeed(Transport transport);
  void fail(std::exception_ptr error) override;
  void cancel() override;

  ResolveOptions resolve_options() const;

  ProtocolFactory make_protocol_;
  ConnectOptions options_;
  ConnectSink sink_;
  RacePlan plan_{};
  std::optional<ConnectRace> race_;
  std::unique_ptr<StreamChannel> channel_;
  Address peer_;
  Transport transport_;
};

ResolveOptions Connecting::resolve_options() const {
  return {.family = options_.family,
          .type = SocketType::stream,
          .protocol = options_.protocol,
          .flags = options_.flags};
}

void Connecting::resolve_remote(const std::string& host, std::uint16_t port) {
  resolve(host, port, resolve_options(), [this](std::vector<Address> remotes) {
    const std::size_t first_family_count =
        options_.interleave.value_or(options_.happy_eyeballs_delay ? 1 : 0);
    plan_.remotes = interleaved(std::move(remotes), first_family_count);
    plan_.delay = options_.happy_eyeballs_delay;
    options_.local_addr ? resolve_local() : race();
  });
}

void Connecting::resolve_local() {
  const LocalAddress& local = *options_.local_addr;
  resolve(local.host, local.port, resolve_options(), [this](std::vector<Address> locals) {
    plan_.locals = std::move(locals);
    race();
  });
}

void Connecting::race() {
  race_.emplace(loop(), loop().backend(), std::move(plan_), *this);
  race_->start();
}

void Connecting::race_won(std::unique_ptr<StreamChannel> channel, const Address& remote) noexcept {
  channel_ = std::move(channel);
  peer_ = remote;
  later(*this, [](Connecting& self) { self.build(); });
}

void Connecting::race_lost(std::vector<std::system_error> errors) noexcept {
  fail(connect_failure(std::move(errors), options_.all_errors));
}

void Connecting::adopt(int descriptor) {
  Result<std::unique_ptr<StreamChannel>> adopted = loop().backend().adopt_stream(descriptor);
  if (!adopted) return refuse(adoption_failure(adopted.error(), descriptor));
  channel_ = std::move(adopted.value());
  peer_ = loop().backend().peer_address(descriptor);
  later(*this, [](Connecting& self) { self.build(); });
}

/// The factory is the user's: it may even cancel what it is called for.
void Connecting::build() {
  ProtocolFactory make = std::move(make_protocol_);
  const SlotRef alive = name();
  try {
    AnyProtocol protocol = made_by(make);
    if (alive.alive()) start(std::move(protocol));
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    Loop& owner = loop();
    if (alive.alive()) fail(error);
    owner.take_if_fatal(error);
  }
}

void Connecting::start(AnyProtocol protocol) {
  auto ready = unless_over(*this, [](Connecting& self, Transport made) { self.succeed(made); });
  transport_ = StreamTransport::start(loop(), {.channel = std::move(channel_),
                                               .protocol = std::move(protocol),
                                               .peer = std::move(peer_),
                                               .ready = std::move(ready)})
                   .handle();
}

void Connecting::succeed(Transport transport) {
  auto connected = std::move(sink_.connected);
  finish();
  connected(transport);
}

/// Sockets are closed first, then the failure is told. [N9]
void Connecting::fail(std::exception_ptr error) {
  auto failed = std::move(sink_.failed);
  finish();
  failed(std::move(error));
}

/// A transport that has started gets both its callbacks, one that has not gets none. [B4]
void Connecting::cancel() {
  transport_.abort();
  Opening::cancel();
}

/// What is wrong with the arguments, null if nothing is. [N2]
const char* misuse_of(bool has_address, bool has_socket) noexcept {
  if (has_address && has_socket) {
    return "create_connection() takes either a host and a port or options.sock, not both";
  }
  if (!has_address && !has_socket) {
    return "create_connection() needs a host and a port, or a connected socket in options.sock";
  }
  return nullptr;
}

Connecting* begin(EventLoop& loop, ProtocolFactory make_protocol, ConnectOptions options,
                  ConnectSink sink) {
  Loop& inner = Loop::of(loop);
  if (inner.is_closed()) {
    sink.failed(std::make_exception_ptr(WrongStateError("Event loop is closed")));
    return nullptr;
  }
  return &inner.own(std::make_unique<Connecting>(inner, std::move(make_protocol),
                                                 std::move(options), std::move(sink)));
}

}  // namespace

FutureState::CancelHook start_connecting(EventLoop& loop, ProtocolFactory make_protocol,
                                         const std::optional<std::string>& host,
                                         std::optional<std::uint16_t> port, ConnectOptions options,
                                         ConnectSink sink) {
  const std::optional<int> sock = options.sock;
  Connecting* connecting =
      begin(loop, std::move(make_protocol), std::move(options), std::move(sink));
  if (connecting == nullptr) return nullptr;
  if (const char* misuse = misuse_of(host || port, sock.has_value())) {
    connecting->refuse(std::make_exception_ptr(std::invalid_argument(misuse)));
  } else if (sock) {
    connecting->adopt(*sock);
  } else {
    connecting->resolve_remote(host.value_or(""), port.value_or(0));
  }
  return connecting->cancel_hook();
}

FutureState::CancelHook start_accepted(EventLoop& loop, ProtocolFactory make_protocol, int socket,
                                       ConnectSink sink) {
  Connecting* connecting = begin(loop, std::move(make_protocol), {}, std::move(sink));
  if (connecting == nullptr) return nullptr;
  connecting->adopt(socket);
  return connecting->cancel_hook();
}

}  // namespace weir::inline v0::detail
