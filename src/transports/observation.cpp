#include "observation.h"

#include <exception>

namespace weir::inline v0 {

std::string_view to_string(TransportKind kind) noexcept {
  switch (kind) {
    case TransportKind::socket: return "socket";
    case TransportKind::read_pipe: return "read pipe";
    case TransportKind::write_pipe: return "write pipe";
    case TransportKind::tls: return "TLS";
    case TransportKind::datagram: return "datagram";
    case TransportKind::subprocess: return "subprocess";
  }
  return "unknown";
}

std::string_view to_string(Activity activity) noexcept {
  switch (activity) {
    case Activity::connection_made: return "connection_made";
    case Activity::data_received: return "data_received";
    case Activity::get_buffer: return "get_buffer";
    case Activity::buffer_updated: return "buffer_updated";
    case Activity::eof_received: return "eof_received";
    case Activity::pause_writing: return "pause_writing";
    case Activity::resume_writing: return "resume_writing";
    case Activity::datagram_received: return "datagram_received";
    case Activity::error_received: return "error_received";
    case Activity::pipe_data_received: return "pipe_data_received";
    case Activity::pipe_connection_lost: return "pipe_connection_lost";
    case Activity::process_exited: return "process_exited";
    case Activity::connection_lost: return "connection_lost";
    case Activity::write: return "write";
    case Activity::writelines: return "writelines";
    case Activity::write_eof: return "write_eof";
    case Activity::sendto: return "sendto";
    case Activity::set_write_buffer_limits: return "set_write_buffer_limits";
    case Activity::pause_reading: return "pause_reading";
    case Activity::resume_reading: return "resume_reading";
    case Activity::set_protocol: return "set_protocol";
    case Activity::send_signal: return "send_signal";
    case Activity::close: return "close";
    case Activity::abort: return "abort";
    case Activity::sendfile: return "sendfile";
    case Activity::start_tls: return "start_tls";
  }
  return "unknown";
}

ObservedTransport::~ObservedTransport() = default;
TransportObserver::~TransportObserver() = default;
Observer::~Observer() = default;
void Observer::happened(std::chrono::steady_clock::time_point, std::string_view) {}

namespace detail {

std::unique_ptr<Observation> Observation::of(Loop& loop, const ObservedTransport& transport) {
  if (loop.observers().empty()) return nullptr;
  auto observation = std::make_unique<Observation>();
  for (const auto& observer : loop.observers()) {
    auto one = observer->observe(loop.facade(), transport);
    if (one != nullptr) observation->observers_.push_back(std::move(one));
  }
  return observation->observers_.empty() ? nullptr : std::move(observation);
}

void ObservedCall::begin(const Occurrence& call) {
  exceptions_ = std::uncaught_exceptions();
  call_ = call;
  observation_->begins(*call_);
}

void ObservedCall::end() noexcept {
  call_->threw = std::uncaught_exceptions() > exceptions_;
  observation_->ends(*call_);
}

}  // namespace detail
}  // namespace weir::inline v0
