#include "lifecycle.h"

#include <weir/exception_context.h>

#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "subprocess_core.h"

namespace weir::inline v0::detail {
namespace {

bool is_system_error(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::system_error&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

bool Lifecycle::doom(CloseReason reason) noexcept {
  if (state_ >= State::doomed) return false;
  state_ = State::doomed;
  reason_ = std::move(reason);
  return true;
}

void Lifecycle::replace_protocol(std::shared_ptr<AbstractProtocol> protocol) {
  loop_.schedule([old = std::exchange(protocol_, std::move(protocol))] {});
}

void Lifecycle::connection_lost() noexcept {
  state_ = State::lost;
  run("connection_lost()", [&] { protocol_->connection_lost(reason_); });
}

void Lifecycle::pause_writing() noexcept {
  auto callback = [&] { protocol_->pause_writing(); };
  if (auto thrown = call("pause_writing()", callback)) {
    report("protocol.pause_writing() failed", thrown);
  }
}

void Lifecycle::resume_writing() noexcept {
  auto callback = [&] { protocol_->resume_writing(); };
  if (auto thrown = call("resume_writing()", callback)) {
    report("protocol.resume_writing() failed", thrown);
  }
}

CloseReason Lifecycle::fatal(const char* name, const char* over_tls,
                             std::exception_ptr thrown) noexcept {
  if (!is_system_error(thrown)) {
    report(kind_ == TransportKind::tls ? over_tls
                                       : std::string("Fatal error: ") + name + " call failed.",
           thrown);
  }
  return CloseReason(std::move(thrown));
}

void Lifecycle::report(std::string message, const std::exception_ptr& thrown) noexcept {
  ExceptionContext context{
      .message = std::move(message), .exception = thrown, .protocol = protocol_};
  if (kind_ == TransportKind::stream || kind_ == TransportKind::tls) {
    context.transport = Transport(name_);
  }
  if (kind_ == TransportKind::datagram) context.datagram_transport = DatagramTransport(name_);
  if (const auto* core =
          kind_ == TransportKind::subprocess ? name_.get<SubprocessCore>() : nullptr) {
    context.subprocess_transport = core->handle();
  }
  loop_.call_exception_handler(context);
}

}  // namespace weir::inline v0::detail
