#include <weir/protocol.h>
#include <weir/transport.h>

#include <utility>
#include <vector>

#include "live_handle.h"
#include "stream_transport.h"

namespace weir::inline v0 {
namespace {

using detail::StreamRole;
using detail::StreamTransport;

/// The transport behind `handle`, null if it is closed for good. [B17]
StreamTransport* live(const Transport& handle) {
  return detail::on_its_thread(StreamTransport::of(handle));
}

/// The same, if it has that direction at all. [I13]
StreamTransport* live_reader(const Transport& handle) {
  StreamTransport* transport = live(handle);
  if (transport != nullptr && transport->role() == StreamRole::write_pipe) {
    throw UnsupportedOperationError("a write pipe does not read");
  }
  return transport;
}

StreamTransport* live_writer(const Transport& handle) {
  StreamTransport* transport = live(handle);
  if (transport != nullptr && transport->role() == StreamRole::read_pipe) {
    throw UnsupportedOperationError(
        "a read pipe does not write, and has nothing to abort: close() it");
  }
  return transport;
}

}  // namespace

void Transport::write(std::span<const std::byte> data) const {
  if (auto* transport = live_writer(*this)) transport->write(data);
}

void Transport::write(Buffer data) const {
  if (auto* transport = live_writer(*this)) transport->write(std::move(data));
}

void Transport::writelines(std::span<const std::span<const std::byte>> lines) const {
  if (auto* transport = live_writer(*this)) transport->writelines(lines);
}

void Transport::writelines(std::initializer_list<std::span<const std::byte>> lines) const {
  writelines(std::span(lines.begin(), lines.size()));
}

void Transport::write_eof() const {
  if (auto* transport = live_writer(*this)) transport->write_eof();
}

bool Transport::can_write_eof() const {
  const auto* transport = live(*this);
  return transport == nullptr ||
         (transport->role() != StreamRole::read_pipe && transport->role() != StreamRole::tls);
}

void Transport::write_with_descriptors(std::span<const std::byte> data,
                                       std::span<const int> descriptors) const {
  if (auto* transport = live_writer(*this)) transport->write(data, descriptors);
}

void Transport::receive_descriptors(bool enabled) const {
  if (auto* transport = live_reader(*this)) transport->receive_descriptors(enabled);
}

std::vector<Descriptor> Transport::take_descriptors() const {
  auto* transport = live_reader(*this);
  return transport != nullptr ? transport->take_descriptors() : std::vector<Descriptor>();
}

void Transport::close() const {
  if (auto* transport = live(*this)) transport->close();
}

void Transport::abort(const CloseReason& reason) const {
  if (auto* transport = live_writer(*this)) transport->abort(reason);
}

bool Transport::is_closing() const {
  const auto* transport = live(*this);
  return transport == nullptr || transport->is_closing();
}

void Transport::pause_reading() const {
  if (auto* transport = live_reader(*this)) transport->pause_reading();
}

void Transport::resume_reading() const {
  if (auto* transport = live_reader(*this)) transport->resume_reading();
}

bool Transport::is_reading() const {
  const auto* transport = live_reader(*this);
  return transport != nullptr && transport->is_reading();
}

void Transport::set_write_buffer_limits(WriteBufferLimits limits) const {
  if (auto* transport = live_writer(*this)) transport->set_write_buffer_limits(limits);
}

EffectiveWriteBufferLimits Transport::get_write_buffer_limits() const {
  const auto* transport = live_writer(*this);
  return transport != nullptr ? transport->get_write_buffer_limits() : EffectiveWriteBufferLimits();
}

std::size_t Transport::get_write_buffer_size() const {
  const auto* transport = live_writer(*this);
  return transport != nullptr ? transport->get_write_buffer_size() : 0;
}

void Transport::set_read_buffer_limits(ReadBufferLimits limits) const {
  if (auto* transport = live(*this)) transport->set_read_buffer_limits(limits);
}

EffectiveReadBufferLimits Transport::get_read_buffer_limits() const {
  const auto* transport = live(*this);
  return transport != nullptr ? transport->read_buffer_limits() : EffectiveReadBufferLimits();
}

std::size_t Transport::get_read_buffer_size() const {
  const auto* transport = live(*this);
  return transport != nullptr ? transport->read_buffer_size() : 0;
}

ExtraInfo Transport::get_extra_info(std::string_view name, ExtraInfo fallback) const {
  const auto* transport = live(*this);
  ExtraInfo info = transport != nullptr ? transport->get_extra_info(name) : ExtraInfo();
  return std::holds_alternative<std::monostate>(info) ? std::move(fallback) : std::move(info);
}

void Transport::set_protocol(AnyProtocol protocol) const {
  if (auto* transport = live(*this)) transport->set_protocol(protocol);
}

std::shared_ptr<BaseProtocol> Transport::get_protocol() const {
  const auto* transport = live(*this);
  return transport != nullptr ? transport->protocol() : nullptr;
}

}  // namespace weir::inline v0
