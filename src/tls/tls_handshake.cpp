#include "tls_handshake.h"

#include <weir/exception_context.h>

#include <chrono>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include "log_record.h"
#include "tls_channel.h"

namespace weir::inline v0::detail {
namespace {

std::exception_ptr failure(std::errc code, const std::string& what) {
  return std::make_exception_ptr(std::system_error(std::make_error_code(code), what));
}

std::exception_ptr timed_out(std::chrono::nanoseconds timeout) {
  std::ostringstream text;
  text << "the TLS handshake took longer than " << std::chrono::duration<double>(timeout).count()
       << " seconds";
  return failure(std::errc::connection_aborted, text.str());
}

}  // namespace

TlsHandshake::TlsHandshake(Loop& loop, const TlsPlan& plan, AnyProtocol protocol,
                           TransportReady ready, std::size_t nesting)
    : loop_(loop),
      nesting_(nesting),
      buffers_(TlsBuffers::of(loop, nesting)),
      engine_(std::make_unique<TlsEngine>(plan.context, plan.server_hostname, buffers_.output)),
      timeout_(plan.handshake_timeout),
      shutdown_timeout_(plan.shutdown_timeout),
      protocol_(std::move(protocol)),
      ready_(std::move(ready)) {}

std::shared_ptr<TlsHandshake> TlsHandshake::take_over(Loop& loop, const TlsPlan& plan,
                                                      StreamTransport& below, AnyProtocol protocol,
                                                      TransportReady ready) {
  std::shared_ptr<TlsHandshake> self(
      new TlsHandshake(loop, plan, std::move(protocol), std::move(ready), below.tls_nesting()));
  self->takes_over_ = self->locked_ = true;
  self->protocol_paused_ = below.is_writing_paused();
  // At once, so that nothing that comes from here on is taken for the protocol's own. [T24]
  below.set_protocol(self);
  below.lock_writing(*self);
  loop.schedule([self, transport = below.handle()] {
    // One that is closing by now says the rest by connection_lost().
    if (self->state_ == State::over || transport.is_closing()) return;
    transport.resume_reading();
    self->connection_made(transport);
  });
  self->below_ = below.handle();
  return self;
}

void TlsHandshake::connection_made(Transport below) {
  below_ = below;
  timer_ = loop_.call_after(timeout_, [this] { fail(timed_out(timeout_)); }, {});
  go_on();
}

void TlsHandshake::data_received(std::span<const std::byte> data) {
  if (state_ == State::over) return;
  engine_->feed(data);
  go_on();
}

void TlsHandshake::go_on() {
  const TlsEngine::Status status = engine_->handshake();
  send();
  if (status == TlsEngine::Status::wants_input) return;
  // The last flight found the peer gone: connection_lost() follows, and there is nothing to begin. [B1, T6]
  if (below_.is_closing()) return;
  status == TlsEngine::Status::ok ? succeed() : fail(engine_->failure());
}

/// Also to a transport that is write-paused: a flight is small, and both sides wait for it. [T3]
void TlsHandshake::send() {
  if (buffers_.output.empty()) return;
  // A Buffer is sent at once: what comes of it decides whether there is a connection. [B1]
  Buffer flight(std::exchange(buffers_.output, {}));
  if (locked_) {
    StreamTransport::of(below_)->write_locked(std::move(flight));
  } else {
    below_.write(std::move(flight));
  }
}

void TlsHandshake::unlock() {
  if (std::exchange(locked_, false)) StreamTransport::of(below_)->unlock_writing();
}

void TlsHandshake::succeed() {
  state_ = State::over;
  timer_.cancel();
  // Who wrote to the old transport by mistake would do so in the clear: it names nothing any more. [T26]
  StreamTransport& lower = *StreamTransport::of(below_);
  if (takes_over_) below_ = lower.new_handle();
  unlock();
  auto channel = std::make_unique<TlsChannel>(
      loop_, TlsChannel::Parts{.engine = std::move(engine_),
                               .buffers = buffers_,
                               .nesting = nesting_,
                               .below = below_,
                               .below_paused_writing = lower.is_writing_paused(),
                               .shutdown_timeout = shutdown_timeout_});
  TlsBelow& below = channel->below_protocol();
  const TakenOver taken_over = !takes_over_       ? TakenOver::no
                               : protocol_paused_ ? TakenOver::yes_paused
                                                  : TakenOver::yes;
  StreamTransport& above = StreamTransport::start(loop_, {.channel = std::move(channel),
                                                          .protocol = std::exchange(protocol_, {}),
                                                          .role = StreamRole::tls,
                                                          .ready = std::move(ready_),
                                                          .taken_over = taken_over});
  above_ = above.handle();
  below.set_above(above);
}

/// The peer went away. [T6]
bool TlsHandshake::eof_received() {
  if (state_ == State::running) {
    fail(failure(std::errc::connection_reset,
                 "the peer closed the connection during the TLS handshake"));
  }
  return false;
}

void TlsHandshake::connection_lost(const CloseReason& reason) {
  if (state_ == State::over) return;
  const std::exception_ptr error =
      reason ? reason.exception()
             : failure(std::errc::connection_aborted,
                       "the connection was closed during the TLS handshake");
  state_ = State::over;
  unlock();
  timer_.cancel();
  if (auto ready = std::move(ready_)) ready({}, error);
  // It goes with this, when the handle of its transport is dead. [B17]
  if (takes_over_) protocol_.base()->connection_lost(reason);
  report(error, protocol_.base());
}

void TlsHandshake::fail(const std::exception_ptr& error) {
  if (state_ == State::over) return;
  const auto protocol = protocol_.base();
  auto ready = std::move(ready_);
  leave(error);
  if (ready) ready({}, error);
  report(error, protocol);
}

void TlsHandshake::cancel() {
  if (state_ == State::running) return leave({});
  above_.abort();
}

/// Gives the transport below back to whose it was, who hears of its end, or to nobody.
void TlsHandshake::leave(const CloseReason& reason) {
  state_ = State::over;
  timer_.cancel();
  const auto protocol = std::exchange(protocol_, {});
  unlock();
  if (takes_over_) below_.set_protocol(protocol);
  below_.abort(reason);
}

/// What the peer or the system did is not worth a report. Comes last: the exception handler may do anything.
/// [T5, B5]
void TlsHandshake::report(const std::exception_ptr& error,
                          const std::shared_ptr<BaseProtocol>& protocol) {
  std::string text = "SSL handshake failed";
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& failed) {
    if (!loop_.debug()) return;
    if (dynamic_cast<const CertificateError*>(&failed) != nullptr) {
      text += " on verifying the certificate";
    }
    log_record(LogLevel::debug, text + ": " + failed.what());
  } catch (...) {
    loop_.call_exception_handler({.message = text, .exception = error, .protocol = protocol});
  }
}

}  // namespace weir::inline v0::detail
