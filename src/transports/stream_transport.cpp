#include "stream_transport.h"

#include <stdexcept>
#include <utility>

#include "log_record.h"

namespace weir::inline v0::detail {

StreamTransport& StreamTransport::start(Loop& loop, StreamTransportParts parts) {
  auto ready = std::move(parts.ready);
  StreamTransport& transport = loop.own(std::make_unique<StreamTransport>(loop, std::move(parts)));
  loop.schedule([&transport, ready = std::move(ready)]() mutable { transport.begin(ready); });
  return transport;
}

StreamTransport::StreamTransport(Loop& loop, StreamTransportParts parts)
    : slot_(loop.slots().acquire(this)),
      channel_(std::move(parts.channel)),
      peer_(std::move(parts.peer)),
      observer_(std::move(parts.observer)),
      lifecycle_(loop, std::move(parts.protocol)),
      read_side_(lifecycle_, *channel_),
      write_side_(lifecycle_, *channel_) {
  channel_->attach(*this);
}

StreamTransport::~StreamTransport() {
  // Dropped with its loop: the protocol's destructor must find a dead handle.
  if (slot_.alive()) lifecycle_.loop().slots().release(*slot_.slot);
}

StreamTransport* StreamTransport::of(const Transport& handle) noexcept {
  return handle.ref_.get<StreamTransport>();
}

void StreamTransport::begin(UniqueFunction<void(Transport)>& ready) {
  // Also when it is closing by now: connection_lost() is scheduled, and never comes alone. [B4]
  lifecycle_.connection_made(handle());
  read_side_.start();
  if (ready) ready(handle());
}

// --- Calls ------------------------------------------------------------------------------------------

void StreamTransport::write(ConstBytes data) { fail(write_side_.write(handle(), data)); }

void StreamTransport::write(Buffer data) { fail(write_side_.write(handle(), std::move(data))); }

void StreamTransport::writelines(std::span<const ConstBytes> lines) {
  fail(write_side_.writelines(handle(), lines));
}

void StreamTransport::write_eof() { write_side_.write_eof(); }

void StreamTransport::close() {
  if (lifecycle_.closing()) return;
  if (write_side_.size() == 0) {
    doom({});
    return;
  }
  lifecycle_.set_flushing();
  channel_->stop_receiving();
}

void StreamTransport::abort(const CloseReason& reason) { doom(reason); }

void StreamTransport::pause_reading() { read_side_.pause(); }
void StreamTransport::resume_reading() { read_side_.resume(); }
bool StreamTransport::is_reading() const noexcept { return read_side_.reading(); }

void StreamTransport::set_write_buffer_limits(WriteBufferLimits limits) {
  write_side_.set_limits(handle(), limits);
}
EffectiveWriteBufferLimits StreamTransport::write_buffer_limits() const noexcept {
  return write_side_.limits();
}
std::size_t StreamTransport::write_buffer_size() const noexcept { return write_side_.size(); }

ExtraInfo StreamTransport::extra_info(std::string_view name) const {
  if (name == "peername" && !peer_.empty()) return peer_;
  if (name == "sockname") return channel_->local_address();
  if (name == "socket" && channel_->descriptor() >= 0) {
    return SocketView{channel_->descriptor(), channel_->local_address()};
  }
  return {};
}

void StreamTransport::set_protocol(AnyProtocol protocol) {
  if (!protocol)
    throw std::invalid_argument("set_protocol() needs a protocol, not an empty pointer");
  if (lifecycle_.state() != Lifecycle::State::lost)
    lifecycle_.replace_protocol(std::move(protocol));
}

// --- Events -----------------------------------------------------------------------------------------

std::optional<std::span<std::byte>> StreamTransport::receive_buffer() noexcept {
  auto [buffer, failure] = read_side_.receive_buffer(handle());
  fail(std::move(failure));
  return buffer;
}

void StreamTransport::on_received(ConstBytes bytes) noexcept {
  fail(read_side_.received(handle(), bytes));
}

void StreamTransport::on_eof() noexcept {
  auto [then, failure] = read_side_.eof(handle());
  if (failure) {
    fail(std::move(failure));
  } else if (then == ReadSide::AfterEof::close) {
    close();
  }
}

std::size_t StreamTransport::unsent(std::span<ConstBytes> pieces) noexcept {
  return write_side_.unsent(pieces);
}

void StreamTransport::on_sent(std::size_t count) noexcept {
  const bool all_sent = write_side_.sent(handle(), count);
  // Here and not from the loop: the contract's order after a flush. [B6]
  if (all_sent && lifecycle_.state() == Lifecycle::State::flushing) lose();
}

void StreamTransport::on_failed(std::error_code error) noexcept { fail(error); }

void StreamTransport::on_closed() noexcept { Loop::destroy(*this); }

// --- The end ----------------------------------------------------------------------------------------

void StreamTransport::fail(CloseReason reason) {
  if (!reason) return;
  if (reason.code() && lifecycle_.loop().debug()) {
    log_record(LogLevel::debug, "Fatal error on transport: " + reason.message());
  }
  doom(std::move(reason));
}

void StreamTransport::doom(CloseReason reason) {
  if (!lifecycle_.doom(std::move(reason))) return;
  channel_->stop_receiving();
  write_side_.drop();
  lifecycle_.loop().schedule([this] { lose(); });
}

void StreamTransport::lose() noexcept {
  lifecycle_.connection_lost(handle());
  lifecycle_.loop().slots().release(*slot_.slot);
  channel_->close();
  if (observer_ != nullptr) observer_->connection_gone(*this);
  lifecycle_.drop_protocol();
}

}  // namespace weir::inline v0::detail
