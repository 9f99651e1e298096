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
  Occurrence lost{
      .activity = Activity::connection_lost, .protocol = protocol_.get(), .reason = &reason_};
  run(lost, [&] { protocol_->connection_lost(reason_); });
}

void Lifecycle::pause_writing() noexcept {
  auto callback = [&] { protocol_->pause_writing(); };
  Occurrence pause{.activity = Activity::pause_writing, .protocol = protocol_.get()};
  if (auto thrown = call(pause, callback)) {
    report("protocol.pause_writing() failed", thrown);
  }
}

void Lifecycle::resume_writing() noexcept {
  auto callback = [&] { protocol_->resume_writing(); };
  Occurrence resume{.activity = Activity::resume_writing, .protocol = protocol_.get()};
  if (auto thrown = call(resume, callback)) {
    report("protocol.resume_writing() failed", thrown);
  }
}

void Lifecycle::report_fatal(const CloseReason& reason) noexcept {
  const std::optional<Activity> failed = std::exchange(failed_, std::nullopt);
  if (!failed || is_system_error(reason.exception())) return;
  std::string message = "Fatal error: protocol." + name_of(*failed) + " call failed.";
  if (kind_ == TransportKind::tls) {
    message = failed == Activity::eof_received ? "Error calling eof_received()"
                                               : "Fatal error on SSL protocol";
  }
  report(std::move(message), reason.exception());
}

void Lifecycle::report(std::string message, const std::exception_ptr& thrown) noexcept {
  ExceptionContext context{
      .message = std::move(message), .exception = thrown, .protocol = protocol_};
  if (kind_ == TransportKind::datagram) {
    context.datagram_transport = DatagramTransport(name_);
  } else if (kind_ != TransportKind::subprocess) {
    context.transport = Transport(name_);
  } else if (const auto* core = name_.get<SubprocessCore>()) {
    context.subprocess_transport = core->handle();
  }
  loop_.call_exception_handler(context);
}

}  // namespace weir::inline v0::detail
