#include <weir/datagram.h>

#include <string>
#include <system_error>
#include <utility>

#include "datagram_core.h"
#include "live_handle.h"

namespace weir::inline v0 {
namespace {

using detail::DatagramChannel;
using detail::DatagramCore;

/// The transport behind `handle`, null if it is closed for good. [B17]
DatagramCore* live(const DatagramTransport& handle) {
  return detail::on_its_thread(DatagramCore::of(handle));
}

/// Throws if `error` is one; `doing` and `what` say what was attempted.
void require(std::error_code error, const std::string& doing, const std::string& what) {
  if (error) throw std::system_error(error, doing + " " + what);
}

void set_membership(DatagramCore& core, const Address& group, const Address& interface,
                    bool member) {
  const std::string on = interface.empty() ? std::string() : " on " + interface.host();
  require(core.channel().set_membership(group, interface, member),
          member ? "join the group" : "leave the group", group.host() + on);
}

}  // namespace

DatagramProtocol::~DatagramProtocol() = default;
void DatagramProtocol::connection_made(DatagramTransport) {}
void DatagramProtocol::datagram_received(std::span<const std::byte>, const Address&) {}
void DatagramProtocol::error_received(std::error_code) {}

void DatagramTransport::sendto(std::span<const std::byte> data, const Address& destination) const {
  if (auto* core = live(*this)) core->sendto(data, destination);
}

void DatagramTransport::close() const {
  if (auto* core = live(*this)) core->close();
}

void DatagramTransport::abort() const {
  if (auto* core = live(*this)) core->abort();
}

bool DatagramTransport::is_closing() const {
  const auto* core = live(*this);
  return core == nullptr || core->is_closing();
}

void DatagramTransport::pause_reading() const {
  if (auto* core = live(*this)) core->pause_reading();
}

void DatagramTransport::resume_reading() const {
  if (auto* core = live(*this)) core->resume_reading();
}

bool DatagramTransport::is_reading() const {
  const auto* core = live(*this);
  return core != nullptr && core->is_reading();
}

void DatagramTransport::set_write_buffer_limits(WriteBufferLimits limits) const {
  if (auto* core = live(*this)) core->set_write_buffer_limits(limits);
}

EffectiveWriteBufferLimits DatagramTransport::get_write_buffer_limits() const {
  const auto* core = live(*this);
  return core != nullptr ? core->get_write_buffer_limits() : EffectiveWriteBufferLimits();
}

std::size_t DatagramTransport::get_write_buffer_size() const {
  const auto* core = live(*this);
  return core != nullptr ? core->get_write_buffer_size() : 0;
}

ExtraInfo DatagramTransport::get_extra_info(std::string_view name, ExtraInfo fallback) const {
  const auto* core = live(*this);
  ExtraInfo info = core != nullptr ? core->get_extra_info(name) : ExtraInfo();
  return std::holds_alternative<std::monostate>(info) ? std::move(fallback) : std::move(info);
}

void DatagramTransport::set_protocol(std::shared_ptr<DatagramProtocol> protocol) const {
  if (auto* core = live(*this)) core->set_protocol(std::move(protocol));
}

std::shared_ptr<DatagramProtocol> DatagramTransport::get_protocol() const {
  const auto* core = live(*this);
  return core != nullptr ? core->protocol() : nullptr;
}

void DatagramTransport::join_group(const Address& group, const Address& interface) const {
  if (auto* core = live(*this)) set_membership(*core, group, interface, true);
}

void DatagramTransport::leave_group(const Address& group, const Address& interface) const {
  if (auto* core = live(*this)) set_membership(*core, group, interface, false);
}

void DatagramTransport::set_ttl(int hops) const {
  auto* core = live(*this);
  if (core == nullptr) return;
  require(core->channel().set_hops(DatagramChannel::Hops::unicast, hops), "set the ttl to",
          std::to_string(hops));
}

void DatagramTransport::set_multicast_ttl(int hops) const {
  auto* core = live(*this);
  if (core == nullptr) return;
  require(core->channel().set_hops(DatagramChannel::Hops::multicast, hops),
          "set the multicast ttl to", std::to_string(hops));
}

void DatagramTransport::set_multicast_loop(bool enabled) const {
  auto* core = live(*this);
  if (core == nullptr) return;
  require(core->channel().set_multicast_loop(enabled), "set the multicast loop",
          enabled ? "on" : "off");
}

void DatagramTransport::set_multicast_interface(const Address& interface) const {
  auto* core = live(*this);
  if (core == nullptr) return;
  require(core->channel().set_multicast_interface(interface), "set the multicast interface to",
          interface.host());
}

}  // namespace weir::inline v0
