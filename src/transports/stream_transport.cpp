#include "stream_transport.h"

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "log_record.h"

namespace weir::inline v0::detail {
namespace {

TransportKind kind_of(StreamRole role) noexcept {
  switch (role) {
    case StreamRole::read_pipe: return TransportKind::read_pipe;
    case StreamRole::write_pipe: return TransportKind::write_pipe;
    case StreamRole::tls: return TransportKind::tls;
    case StreamRole::socket: break;
  }
  return TransportKind::socket;
}

Occurrence lines_of(std::span<const ConstBytes> lines) noexcept {
  Occurrence call{.activity = Activity::writelines};
  if (!lines.empty()) call.data = lines.front();
  for (const ConstBytes& line : lines) call.size += line.size();
  return call;
}

}  // namespace

StreamTransport& StreamTransport::start(Loop& loop, StreamTransportParts parts) {
  require_fit(parts.protocol, parts.role);
  auto ready = std::move(parts.ready);
  const TakenOver taken_over = parts.taken_over;
  StreamTransport& transport = loop.own(std::make_unique<StreamTransport>(loop, std::move(parts)));
  loop.schedule([&transport, taken_over, ready = std::move(ready)]() mutable {
    transport.begin(ready, taken_over);
  });
  return transport;
}

StreamTransport::StreamTransport(Loop& loop, StreamTransportParts parts)
    : channel_(std::move(parts.channel)),
      peer_(std::move(parts.peer)),
      observer_(std::move(parts.observer)),
      lifecycle_(loop, kind_of(parts.role), this, parts.protocol.base()),
      read_side_(lifecycle_, *channel_, parts.role, parts.protocol),
      write_side_(lifecycle_, *channel_, parts.role) {
  channel_->attach(*this);
  lifecycle_.observe(*this);
}

StreamTransport::~StreamTransport() {
  // Dropped with its loop: the protocol's destructor must find a dead handle.
  lifecycle_.retire_name();
}

StreamTransport* StreamTransport::of(const Transport& handle) noexcept {
  return handle.ref_.get<StreamTransport>();
}

TransportKind StreamTransport::kind() const noexcept { return kind_of(role()); }

void StreamTransport::begin(TransportReady& ready, TakenOver taken_over) {
  if (taken_over != TakenOver::no) {
    const ObservedCall started(observation(), {.activity = Activity::start_tls,
                                               .protocol = lifecycle_.protocol().get(),
                                               .result = taken_over == TakenOver::yes_paused});
  }
  if (taken_over == TakenOver::yes_paused) {
    write_side_.assume_told_to_pause();
    settle_writing();
  }
  // Also when it is closing by now: connection_lost() is scheduled, and never comes alone. [B4]
  const CloseReason failure = taken_over == TakenOver::no ? connection_made() : CloseReason();
  fail(failure);
  if (ready) ready(handle(), failure.exception());
  read_side_.start();
}

/// Returns what it threw where that is fatal. [B9, T29]
CloseReason StreamTransport::connection_made() noexcept {
  const auto call = [this] {
    static_cast<BaseProtocol&>(*lifecycle_.protocol()).connection_made(handle());
  };
  if (role() == StreamRole::tls) return lifecycle_.guarded_connection_made(call);
  lifecycle_.connection_made(call);
  return {};
}

// --- Calls ------------------------------------------------------------------------------------------

void StreamTransport::write(ConstBytes data) {
  const ObservedCall call(observation(), Activity::write, data);
  fail(write_side_.write(data));
}

void StreamTransport::write(Buffer data) {
  const Loop::UserCode inside(lifecycle_.loop());  // its owner's, once it is sent
  const ObservedCall call(observation(), Activity::write, data.bytes());
  fail(write_side_.write(std::move(data)));
}

void StreamTransport::writelines(std::span<const ConstBytes> lines) {
  const ObservedCall call(observation(), lines_of(lines));
  fail(write_side_.writelines(lines));
}

LocalSocket& StreamTransport::local_socket() const {
  if (LocalSocket* local = channel_->local_socket()) return *local;
  throw UnsupportedOperationError("descriptors are passed over Unix sockets only");
}

void StreamTransport::write(ConstBytes data, std::span<const int> descriptors) {
  LocalSocket& local = local_socket();
  if (data.empty()) {
    throw std::invalid_argument("descriptors need at least one byte of data to go along with");
  }
  if (descriptors.size() > max_passed_descriptors) {
    throw std::invalid_argument(std::to_string(descriptors.size()) +
                                " descriptors are too many for one write: at most " +
                                std::to_string(max_passed_descriptors));
  }
  if (descriptors.empty()) return write(data);
  const ObservedCall call(observation(), Activity::write, data);
  fail(write_side_.write(data, local.duplicates(descriptors)));
}

TlsFacet& StreamTransport::tls() const {
  if (TlsFacet* tls = channel_->tls()) return *tls;
  throw UnsupportedOperationError(
      "only TLS transports hold what they received: they alone have a read buffer");
}

void StreamTransport::receive_descriptors(bool enabled) {
  local_socket().receive_descriptors(enabled);
}

std::vector<Descriptor> StreamTransport::take_descriptors() {
  return local_socket().take_received();
}

/// On a pipe the end of the stream is the end of the transport. [I12]
void StreamTransport::write_eof() {
  const ObservedCall call(observation(), Activity::write_eof);
  if (role() == StreamRole::write_pipe) return close();
  if (role() == StreamRole::tls) {
    throw UnsupportedOperationError("a TLS transport cannot end one direction alone: close() it");
  }
  fail(write_side_.write_eof());
}

void StreamTransport::close() {
  const ObservedCall call(observation(), Activity::close);
  if (lifecycle_.closing()) return;
  fail(write_side_.wait_no_more());
  if (lifecycle_.closing()) return;
  // TLS has more to send: that this is the end. [T9]
  if (write_side_.size() == 0 && role() != StreamRole::tls) {
    doom({});
    return;
  }
  lifecycle_.set_flushing();
  // A write pipe goes on watching whether somebody will read the rest.
  if (role() != StreamRole::write_pipe) channel_->stop_receiving();
  channel_->finish();
  if (write_side_.locked()) {
    write_side_.lose_lock({});
    settle_writing();
  }
}

void StreamTransport::lock_writing(WriteLock& lock) noexcept {
  const ObservedCall call(observation(), Activity::sendfile);
  write_side_.lock(lock);
}

void StreamTransport::unlock_writing() noexcept {
  write_side_.unlock();
  settle_writing();
}

/// From the loop: whoever ends a sendfile() may be the user. [B16]
void StreamTransport::settle_writing() {
  lifecycle_.loop().schedule([handle = handle()] {
    if (StreamTransport* transport = of(handle)) transport->write_side_.settle();
  });
}

void StreamTransport::abort(const CloseReason& reason) {
  const ObservedCall call(observation(), {.activity = Activity::abort, .reason = &reason});
  doom(reason);
}

void StreamTransport::pause_reading() {
  const ObservedCall call(observation(), Activity::pause_reading);
  read_side_.pause();
}
void StreamTransport::resume_reading() {
  const ObservedCall call(observation(), Activity::resume_reading);
  read_side_.resume();
}
/// Of TLS, what is below may be closing. [T22]
bool StreamTransport::is_reading() const noexcept { return read_side_.reading() && !is_closing(); }

void StreamTransport::set_write_buffer_limits(WriteBufferLimits limits) {
  const ObservedCall call(observation(), Activity::set_write_buffer_limits);
  if (write_side_.set_limits(limits)) settle_writing();
}
EffectiveWriteBufferLimits StreamTransport::get_write_buffer_limits() const noexcept {
  return write_side_.limits();
}
std::size_t StreamTransport::get_write_buffer_size() const noexcept { return write_side_.size(); }

ExtraInfo StreamTransport::get_extra_info(std::string_view name) const {
  if (role() == StreamRole::tls) return tls().extra_info(name);
  if (role() != StreamRole::socket) {
    if (name == "pipe") return PipeView{channel_->descriptor()};
    return {};
  }
  if (name == "peername" && !peer_.empty()) return peer_;
  if (LocalSocket* local = channel_->local_socket(); local != nullptr && name == "peercred") {
    if (const auto credentials = local->peer_credentials()) return *credentials;
  }
  if (name == "sockname") return channel_->local_address();
  if (name == "socket" && channel_->descriptor() >= 0) {
    return SocketView{channel_->descriptor(), channel_->local_address()};
  }
  return {};
}

void StreamTransport::require_fit(const AnyProtocol& protocol, StreamRole role) {
  const bool reads = protocol.stream() != nullptr || protocol.buffered() != nullptr;
  if (!reads && role != StreamRole::write_pipe) {
    throw std::invalid_argument("a transport that reads needs a Protocol or a BufferedProtocol");
  }
}

void StreamTransport::set_protocol(const AnyProtocol& protocol) {
  const ObservedCall call(observation(),
                          {.activity = Activity::set_protocol, .protocol = protocol.base().get()});
  if (!protocol) {
    throw std::invalid_argument("set_protocol() needs a protocol, not an empty pointer");
  }
  require_fit(protocol, role());
  write_side_.require_half("unable to set a protocol");
  if (lifecycle_.state() == Lifecycle::State::lost) return;
  read_side_.set_protocol(protocol);
  lifecycle_.replace_protocol(protocol.base());
}

// --- Events -----------------------------------------------------------------------------------------

std::optional<std::span<std::byte>> StreamTransport::receive_buffer() noexcept {
  if (!read_side_.has_own_buffer()) return std::span<std::byte>();  // nothing of the user's runs
  auto [buffer, failure] = read_side_.receive_buffer();
  fail(failure);
  return buffer;
}

void StreamTransport::on_received(ConstBytes bytes) noexcept { fail(read_side_.received(bytes)); }

void StreamTransport::on_eof() noexcept {
  switch (role()) {
    case StreamRole::socket: return socket_ended();
    case StreamRole::read_pipe: return read_pipe_ended();
    case StreamRole::write_pipe: return reader_gone();
    case StreamRole::tls: return tls_ended();
  }
}

void StreamTransport::socket_ended() noexcept {
  auto [then, failure] = read_side_.eof();
  if (failure) {
    fail(failure);
  } else if (then == ReadSide::AfterEof::close) {
    close();
  }
}

/// It closes in any case, and is told the end also if it has closed itself meanwhile. [T10, T12, T20]
void StreamTransport::tls_ended() noexcept {
  const bool closing = lifecycle_.closing();
  if (!lifecycle_.writable() || (closing && read_side_.paused())) return;
  auto [then, failure] = read_side_.eof();
  if (failure) return fail(failure);
  if (then == ReadSide::AfterEof::keep_open && !lifecycle_.loop().is_leaving()) {
    log_record(LogLevel::warning,
               "returning true from eof_received() has no effect when using ssl");
  }
  close();
}

/// Closing at once; the two callbacks come from the loop, in this order. [I5]
void StreamTransport::read_pipe_ended() noexcept {
  lifecycle_.loop().schedule([this] { read_side_.pipe_eof(); });
  doom({});
}

/// No error, unless something is left that it will never read. [I10]
void StreamTransport::reader_gone() noexcept {
  if (write_side_.size() > 0) return fail(std::make_error_code(std::errc::broken_pipe));
  doom({});
}

std::size_t StreamTransport::unsent(std::span<ConstBytes> pieces) noexcept {
  return write_side_.unsent(pieces);
}

void StreamTransport::on_sent(std::size_t count) noexcept {
  const bool all_sent = write_side_.sent(count);
  // Here and not from the loop: the contract's order after a flush. [B6] TLS tells by itself when it is over.
  if (all_sent && lifecycle_.state() == Lifecycle::State::flushing && role() != StreamRole::tls) {
    lose();
  }
}

/// An input/output error is how a terminal's input ends when the other side has gone. [I7]
void StreamTransport::on_failed(std::error_code error) noexcept {
  fail(error);
  if (role() == StreamRole::read_pipe && error != std::errc::io_error) {
    lifecycle_.report("Fatal read error on pipe transport",
                      std::make_exception_ptr(std::system_error(error, "read")));
  }
}

/// Told from the loop, when connection_lost() of what is below may still be running: what that knows of the
/// connection, such as its peer's address, can be asked for until then. [B7, T22]
void StreamTransport::on_over(const CloseReason& reason) noexcept {
  log_failure(reason);
  if (!stop(reason)) return;
  write_side_.lose_lock(reason);
  lose();
}

void StreamTransport::on_closed() noexcept { Loop::destroy(*this); }

// --- The end ----------------------------------------------------------------------------------------

void StreamTransport::break_off(const CloseReason& reason) {
  log_failure(reason);
  doom(reason);
  lifecycle_.report_fatal(reason);
}

void StreamTransport::log_failure(const CloseReason& reason) {
  if (reason.code() && lifecycle_.loop().debug()) {
    log_record(LogLevel::debug, "Fatal error on transport: " + reason.message());
  }
}

void StreamTransport::doom(const CloseReason& reason) {
  if (!stop(reason)) return;
  lifecycle_.loop().schedule([this] { lose(); });
  write_side_.lose_lock(reason);
}

bool StreamTransport::stop(const CloseReason& reason) {
  if (!lifecycle_.doom(reason)) return false;
  channel_->stop_receiving();
  channel_->stop_sending();
  write_side_.drop();
  return true;
}

void StreamTransport::lose() noexcept {
  lifecycle_.connection_lost();
  lifecycle_.retire_name();
  channel_->close();
  if (observer_ != nullptr) observer_->connection_gone(*this);
  lifecycle_.drop_protocol();
}

}  // namespace weir::inline v0::detail
