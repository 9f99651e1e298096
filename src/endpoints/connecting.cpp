#include "connecting.h"

#include <exception>
#include <utility>

#include "address_order.h"
#include "loop.h"
#include "opening_errors.h"
#include "tls_upgrade.h"

namespace weir::inline v0::detail {

// --- Where the channel comes from -------------------------------------------------------------------

ResolveOptions Connecting::resolve_options() const {
  return {.family = options_.family,
          .type = SocketType::stream,
          .protocol = options_.protocol,
          .flags = options_.flags};
}

void Connecting::connect_to(const std::string& host, std::uint16_t port, ConnectOptions options) {
  options_ = std::move(options);
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

void Connecting::connect_to(Address remote) {
  plan_.remotes.push_back(std::move(remote));
  later(*this, [](Connecting& self) { self.race(); });
}

void Connecting::race() {
  race_.emplace(loop(), loop().backend(), std::move(plan_), *this);
  race_->start();
}

void Connecting::race_won(std::unique_ptr<StreamChannel> channel, const Address& remote) noexcept {
  channel_ = std::move(channel);
  peer_ = remote;
  build_later();
}

void Connecting::race_lost(std::vector<std::system_error> errors) noexcept {
  fail(connect_failure(std::move(errors), options_.all_errors));
}

void Connecting::adopt_socket(int descriptor) {
  channel_ = adopted(loop().backend().adopt_stream(descriptor), descriptor);
  peer_ = loop().backend().peer_address(descriptor);
  build_later();
}

void Connecting::adopt_unix_socket(int descriptor) {
  require_unix_socket(loop().backend(), descriptor);
  adopt_socket(descriptor);
}

void Connecting::adopt_pipe(int descriptor, PipeEnd end) {
  Result<std::unique_ptr<StreamChannel>> pipe = loop().backend().adopt_pipe(descriptor, end);
  if (!pipe) std::rethrow_exception(pipe_failure(pipe.error(), descriptor, end));
  channel_ = std::move(pipe.value());
  role_ = end == PipeEnd::read ? StreamRole::read_pipe : StreamRole::write_pipe;
  build_later();
}

// --- What becomes of it -----------------------------------------------------------------------------

/// With TLS this is the transport below: what is over it ends with it.
Transport Connecting::start(AnyProtocol protocol, Outcome outcome) {
  StreamTransportParts parts{
      .channel = std::move(channel_), .protocol = {}, .peer = std::move(peer_), .role = role_};
  if (tls_) {
    parts.protocol = tls_handshake(loop(), *tls_, std::move(protocol), outcome);
  } else {
    parts.protocol = std::move(protocol);
    parts.ready = outcome;
  }
  return StreamTransport::start(loop(), std::move(parts)).handle();
}

/// Also a read pipe, whose user may not.
void Connecting::abort(const Transport& transport) {
  if (auto* started = StreamTransport::of(transport)) started->abort({});
}

}  // namespace weir::inline v0::detail
