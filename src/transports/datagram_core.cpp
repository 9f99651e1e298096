#include "datagram_core.h"

#include <array>
#include <stdexcept>
#include <utility>

namespace weir::inline v0::detail {
namespace {

/// A Unix socket may have no name, and then is no destination either.
bool has_name(const Address& address) noexcept {
  return address.family() == AddressFamily::unix_socket ? !address.path().empty()
                                                        : !address.empty();
}

}  // namespace

DatagramCore& DatagramCore::start(Loop& loop, DatagramParts parts) {
  auto ready = std::move(parts.ready);
  DatagramCore& core = loop.own(std::make_unique<DatagramCore>(loop, std::move(parts)));
  loop.schedule([&core, ready = std::move(ready)]() mutable { core.begin(ready); });
  return core;
}

DatagramCore::DatagramCore(Loop& loop, DatagramParts parts)
    : channel_(std::move(parts.channel)),
      connected_(channel_->peer_address().has_value()),
      remote_(channel_->peer_address().value_or(std::move(parts.remote))),
      protocol_(parts.protocol.get()),
      lifecycle_(loop, TransportKind::datagram, this, std::move(parts.protocol)),
      receiving_(lifecycle_, *channel_),
      queue_(loop.chunks()) {
  channel_->attach(*this);
  lifecycle_.observe(*this);
}

DatagramCore::~DatagramCore() {
  // Dropped with its loop: the protocol's destructor must find a dead handle.
  lifecycle_.retire_name();
}

DatagramCore* DatagramCore::of(const DatagramTransport& handle) noexcept {
  return handle.ref_.get<DatagramCore>();
}

void DatagramCore::begin(UniqueFunction<void(DatagramTransport)>& ready) {
  // Also when it is closing by now: connection_lost() is scheduled, and never comes alone. [B4]
  lifecycle_.connection_made([this] { protocol_->connection_made(handle()); });
  receiving_.start();
  if (ready) ready(handle());
}

// --- Sending ----------------------------------------------------------------------------------------

/// Where to send what the user wants at `destination`; null: to the peer. [D6]
const Address* DatagramCore::checked(const Address& destination) const {
  if (!connected_ && !has_name(remote_)) return has_name(destination) ? &destination : nullptr;
  if (has_name(destination) && destination != remote_) {
    const std::string peer = has_name(remote_) ? remote_.to_string() : "a peer without a name";
    throw std::invalid_argument("this socket sends to " + peer + " only, not to " +
                                destination.to_string());
  }
  return connected_ ? nullptr : &remote_;
}

void DatagramCore::sendto(ConstBytes data, const Address& destination) {
  const ObservedCall call(
      observation(),
      {.activity = Activity::sendto, .data = data, .size = data.size(), .address = &destination});
  const OutgoingDatagram datagram{.data = data, .destination = checked(destination)};
  if (!lifecycle_.writable()) return dropped_writes_.add(dropped_by_socket);  // [D15]
  if (datagram.destination == nullptr && !connected_) {
    return tell_caller(std::make_error_code(std::errc::destination_address_required));  // [D7]
  }
  if (!may_keep_back(data)) flush();
  if (!lifecycle_.writable()) return;
  if (!may_keep_back(data) && sent_at_once(datagram)) return;
  queue_.append(datagram);
  pause_if_over();  // last: the protocol may do anything in there [F9, F13]
}

/// No more than is sent in one go, and never so much that it pauses anybody.
bool DatagramCore::may_keep_back(ConstBytes data) const noexcept {
  return in_batch_ && queue_.count() < max_datagrams &&
         queue_.size() + DatagramQueue::size_of(data.size()) <= flow_control_.limits().high;
}

/// False if it has to wait in the queue. What error_received() throws is the caller's. [D11, D13]
bool DatagramCore::sent_at_once(const OutgoingDatagram& datagram) {
  if (!queue_.empty() || mover_ == Mover::channel) return false;
  const DatagramSendResult result = channel_->try_send({&datagram, 1});
  if (result.error) {
    tell_caller(result.error);
  } else if (result.done == 0) {
    leave_to_channel();
    return false;
  }
  return true;
}

void DatagramCore::leave_to_channel() noexcept {
  mover_ = Mover::channel;
  channel_->start_sending();
}

/// Sends what was kept back, until the kernel takes no more.
void DatagramCore::flush() noexcept {
  if (mover_ != Mover::nobody || queue_.empty()) return;
  mover_ = Mover::flush;
  std::array<OutgoingDatagram, max_datagrams> next;
  while (mover_ == Mover::flush && !queue_.empty()) {
    const std::size_t count = queue_.peek(next);
    const auto [done, error] = channel_->try_send(std::span(next).first(count));
    queue_.consume(done);
    if (error) {
      // Who leaves the loop hears nothing more in this run. [C10]
      if (!lifecycle_.loop().is_leaving()) tell(error);
    } else if (done < count) {
      leave_to_channel();
    }
  }
  if (mover_ == Mover::flush) mover_ = Mover::nobody;
  pause_if_over();
}

/// Only what the kernel does not take counts: the others are on their way.
void DatagramCore::pause_if_over() noexcept {
  if (mover_ != Mover::channel || !lifecycle_.writable()) return;
  if (flow_control_.grown(queue_.size())) lifecycle_.pause_writing();
}

std::size_t DatagramCore::unsent(std::span<OutgoingDatagram> datagrams) noexcept {
  return queue_.peek(datagrams);
}

void DatagramCore::on_sent(std::size_t count, std::error_code error) noexcept {
  if (!lifecycle_.writable()) return;  // dropped meanwhile
  queue_.consume(count);
  if (queue_.empty()) mover_ = Mover::nobody;
  // Whatever became of the last one, the others of it go on. [D12]
  if (error) tell(error);
  if (lifecycle_.writable() && flow_control_.shrunk(queue_.size())) lifecycle_.resume_writing();
  // Here and not from the loop: the contract's order after a flush. [B6, D14]
  if (lifecycle_.state() == Lifecycle::State::flushing && queue_.empty()) lose();
}

void DatagramCore::tell(std::error_code error) noexcept {
  const CloseReason reason(error);
  Occurrence failed{.activity = Activity::error_received, .protocol = protocol_, .reason = &reason};
  lifecycle_.run(failed, [&] { protocol_->error_received(error); });
}

void DatagramCore::tell_caller(std::error_code error) {
  const Loop::UserCode inside(lifecycle_.loop());
  const CloseReason reason(error);
  const ObservedCall failed(
      observation(),
      {.activity = Activity::error_received, .protocol = protocol_, .reason = &reason});
  protocol_->error_received(error);
}

void DatagramCore::set_write_buffer_limits(WriteBufferLimits limits) {
  const ObservedCall call(observation(), Activity::set_write_buffer_limits);
  flow_control_.set_limits(limits);
  flush();  // nothing kept back is to count
  pause_if_over();
}

// --- Receiving --------------------------------------------------------------------------------------

std::size_t DatagramCore::on_datagrams(std::span<const ReceivedDatagram> datagrams) noexcept {
  in_batch_ = datagrams.size() > 1;
  std::size_t taken = 0;
  while (taken < datagrams.size() && receiving_.reading() && !lifecycle_.loop().is_leaving()) {
    const ReceivedDatagram& datagram = datagrams[taken++];
    Occurrence received{.activity = Activity::datagram_received,
                        .protocol = protocol_,
                        .data = datagram.data,
                        .size = datagram.data.size(),
                        .address = &datagram.sender};
    lifecycle_.run(received, [&] { protocol_->datagram_received(datagram.data, datagram.sender); });
  }
  in_batch_ = false;
  flush();
  // A close() in there waited for what was kept back.
  if (lifecycle_.state() == Lifecycle::State::flushing && queue_.empty()) doom();
  return taken;
}

void DatagramCore::pause_reading() {
  const ObservedCall call(observation(), Activity::pause_reading);
  receiving_.pause();
}

void DatagramCore::resume_reading() {
  const ObservedCall call(observation(), Activity::resume_reading);
  receiving_.resume();
}

void DatagramCore::on_receive_failed(std::error_code error) noexcept { tell(error); }

// --- The rest ---------------------------------------------------------------------------------------

ExtraInfo DatagramCore::get_extra_info(std::string_view name) const {
  if (name == "sockname") return channel_->local_address();
  if (name == "peername" && connected_ && has_name(remote_)) return remote_;
  if (name == "socket" && channel_->descriptor() >= 0) {
    return SocketView{channel_->descriptor(), channel_->local_address()};
  }
  return {};
}

void DatagramCore::set_protocol(std::shared_ptr<DatagramProtocol> protocol) {
  const ObservedCall call(observation(),
                          {.activity = Activity::set_protocol, .protocol = protocol.get()});
  if (protocol == nullptr)
    throw std::invalid_argument("set_protocol() needs a protocol, not an empty pointer");
  if (lifecycle_.state() == Lifecycle::State::lost) return;
  protocol_ = protocol.get();
  lifecycle_.replace_protocol(std::move(protocol));
}

void DatagramCore::close() {
  const ObservedCall call(observation(), Activity::close);
  if (lifecycle_.closing()) return;
  if (queue_.empty()) return doom();
  lifecycle_.set_flushing();
  channel_->stop_receiving();
}

void DatagramCore::abort() {
  const CloseReason none;
  const ObservedCall call(observation(), {.activity = Activity::abort, .reason = &none});
  doom();
}

void DatagramCore::doom() noexcept {
  if (!lifecycle_.doom({})) return;
  dropped_writes_.end();
  channel_->stop_receiving();
  queue_.retire();
  lifecycle_.loop().schedule([this] { lose(); });
}

void DatagramCore::lose() noexcept {
  lifecycle_.connection_lost();
  lifecycle_.retire_name();
  channel_->close();
  lifecycle_.drop_protocol();
}

void DatagramCore::on_closed() noexcept { Loop::destroy(*this); }

}  // namespace weir::inline v0::detail
