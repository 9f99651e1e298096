#include <weir/subprocess.h>

#include <csignal>
#include <system_error>
#include <utility>

#include "live_handle.h"
#include "subprocess_core.h"

namespace weir::inline v0 {
namespace {

using detail::SubprocessCore;

/// The transport behind `handle`, null if the process and its pipes are gone.
SubprocessCore* live(const SubprocessTransport& handle) {
  return detail::on_its_thread(SubprocessCore::of(handle));
}

}  // namespace

SubprocessProtocol::~SubprocessProtocol() = default;
void SubprocessProtocol::connection_made(SubprocessTransport) {}
void SubprocessProtocol::pipe_data_received(int, std::span<const std::byte>) {}
void SubprocessProtocol::pipe_connection_lost(int, const CloseReason&) {}
void SubprocessProtocol::process_exited() {}

int SubprocessTransport::get_pid() const { return status_ != nullptr ? status_->pid : 0; }

std::optional<int> SubprocessTransport::get_returncode() const {
  return status_ != nullptr ? status_->returncode : std::nullopt;
}

std::optional<Transport> SubprocessTransport::get_pipe_transport(int fd) const {
  const auto* core = live(*this);
  return core != nullptr ? core->pipe_transport(fd) : std::nullopt;
}

void SubprocessTransport::send_signal(int signal) const {
  auto* core = live(*this);
  if (core == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::no_such_process),
                            "the process to signal is gone");
  }
  core->send_signal(signal);
}

void SubprocessTransport::terminate() const { send_signal(SIGTERM); }

void SubprocessTransport::kill() const { send_signal(SIGKILL); }

void SubprocessTransport::close() const {
  if (auto* core = live(*this)) core->close();
}

bool SubprocessTransport::is_closing() const {
  const auto* core = live(*this);
  return core == nullptr || core->is_closing();
}

ExtraInfo SubprocessTransport::get_extra_info(std::string_view name, ExtraInfo fallback) const {
  const auto* core = live(*this);
  ExtraInfo info = core != nullptr ? core->get_extra_info(name) : ExtraInfo();
  return std::holds_alternative<std::monostate>(info) ? std::move(fallback) : std::move(info);
}

void SubprocessTransport::set_protocol(std::shared_ptr<SubprocessProtocol> protocol) const {
  if (auto* core = live(*this)) core->set_protocol(std::move(protocol));
}

std::shared_ptr<SubprocessProtocol> SubprocessTransport::get_protocol() const {
  const auto* core = live(*this);
  return core != nullptr ? core->protocol() : nullptr;
}

}  // namespace weir::inline v0
