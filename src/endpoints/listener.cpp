#include "listener.h"

#include <weir/exception_context.h>

#include <chrono>
#include <exception>
#include <utility>

#include "log_record.h"

namespace weir::inline v0::detail {
namespace {

constexpr std::chrono::seconds accept_retry_delay{1};

bool is_out_of_resources(std::error_code error) noexcept {
  return error == std::errc::too_many_files_open ||
         error == std::errc::too_many_files_open_in_system || error == std::errc::no_buffer_space ||
         error == std::errc::not_enough_memory;
}

}  // namespace

std::error_code Listener::start(int backlog) noexcept {
  backlog_ = backlog;
  return channel_->start_accepting(*this, backlog);
}

void Listener::stop() noexcept {
  retry_.cancel();
  channel_->stop_accepting();
}

void Listener::remove_path() noexcept {
  if (const std::error_code error = channel_->remove_path()) {
    log_record(LogLevel::warning,
               "Unable to clean up listening UNIX socket " + name() + ": " + error.message());
  }
}

SocketView Listener::view() const { return {channel_->descriptor(), channel_->local_address()}; }

void Listener::on_accepted(std::unique_ptr<StreamChannel> channel, const Address& peer) noexcept {
  events_.accepted(std::move(channel), peer);
}

void Listener::on_accept_failed(std::error_code error) noexcept {
  if (is_out_of_resources(error)) return pause(error);
  report("accept failed on " + name(), error);
}

void Listener::pause(std::error_code error) noexcept {
  channel_->stop_accepting();
  retry_ = loop_.facade().call_later(accept_retry_delay, [this] { resume(); });
  report("socket.accept() out of system resource", error);
}

void Listener::resume() noexcept {
  if (const std::error_code error = channel_->start_accepting(*this, backlog_)) pause(error);
}

/// The last thing any of these does: the handler is the user's, and may close the server.
void Listener::report(std::string message, std::error_code error) noexcept {
  std::string subject = "accept on " + name();
  loop_.call_exception_handler(
      {.message = std::move(message),
       .exception = std::make_exception_ptr(std::system_error(error, subject)),
       .extra = {{"socket", name()}}});
}

}  // namespace weir::inline v0::detail
