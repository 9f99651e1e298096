#include "lifecycle.h"

#include <memory>
#include <string>
#include <system_error>
#include <utility>

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

void Lifecycle::replace_protocol(AnyProtocol protocol) {
  loop_.schedule([old = std::exchange(protocol_, std::move(protocol)).base()] {});
}

void Lifecycle::connection_made(Transport transport) noexcept {
  auto callback = [&] { protocol_.base()->connection_made(transport); };
  if (auto thrown = call("connection_made()", callback)) {
    report(transport, "Exception in callback connection_made()", thrown);
  }
}

void Lifecycle::connection_lost(Transport transport) noexcept {
  state_ = State::lost;
  auto callback = [&] { protocol_.base()->connection_lost(reason_); };
  if (auto thrown = call("connection_lost()", callback)) {
    report(transport, "Exception in callback connection_lost()", thrown);
  }
}

void Lifecycle::pause_writing(Transport transport) noexcept {
  auto callback = [&] { protocol_.base()->pause_writing(); };
  if (auto thrown = call("pause_writing()", callback)) {
    report(transport, "protocol.pause_writing() failed", thrown);
  }
}

void Lifecycle::resume_writing(Transport transport) noexcept {
  auto callback = [&] { protocol_.base()->resume_writing(); };
  if (auto thrown = call("resume_writing()", callback)) {
    report(transport, "protocol.resume_writing() failed", thrown);
  }
}

CloseReason Lifecycle::fatal(Transport transport, const char* name,
                             std::exception_ptr thrown) noexcept {
  if (!is_system_error(thrown)) {
    report(transport, std::string("Fatal error: ") + name + " call failed.", thrown);
  }
  return CloseReason(std::move(thrown));
}

void Lifecycle::report(Transport transport, std::string message,
                       const std::exception_ptr& thrown) noexcept {
  loop_.call_exception_handler({.message = std::move(message),
                                .exception = thrown,
                                .transport = transport,
                                .protocol = protocol_.base()});
}

}  // namespace weir::inline v0::detail
