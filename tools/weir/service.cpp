#include "service.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstdio>

namespace weir_tool {
namespace {

/// What is left after the grace period has this long to take what is already on its way.
constexpr std::chrono::seconds flush_time{1};

constexpr std::array stop_signals{SIGINT, SIGTERM};

}  // namespace

Service::Service(weir::EventLoop& loop, double grace_seconds, Hears hears)
    : loop_(loop), grace_(grace_seconds), hears_(hears), finished_(loop.create_future()) {
  conversations_.when_none([this] { finish_if_done(); });
  if (hears_ == Hears::nothing) return;
  for (const int signal : stop_signals) loop_.add_signal_handler(signal, [this] { stop(); });
}

Service::~Service() {
  if (hears_ == Hears::nothing) return;
  for (const int signal : stop_signals) loop_.remove_signal_handler(signal);
}

void Service::serve(const Url& url, const StreamFactory& factory) {
  if (is<StdioUrl>(url)) {
    loop_.run_until_complete(open_stream(loop_, url, factory()));
  } else {
    servers_.push_back({url, listen(loop_, url, factory)});
  }
}

void Service::serve_along(const Url& url, int socket, const StreamFactory& factory) {
  servers_.push_back({url, listen_along(loop_, url, socket, factory)});
}

void Service::for_each_socket(
    const std::function<void(const Url&, const weir::SocketView&)>& callback) const {
  for (const auto& [url, server] : servers_) {
    for (const weir::SocketView& socket : server.sockets()) callback(url, socket);
  }
}

void Service::announce(std::FILE* where) const {
  for_each_socket([&](const Url& url, const weir::SocketView& socket) {
    fmt::print(where, "listening on {}\n", to_string(url_at(url, socket.sockname)));
  });
  for (const weir::DatagramTransport& endpoint : endpoints_) {
    const weir::Address address =
        endpoint.get_extra_info<weir::Address>("sockname").value_or(weir::Address());
    fmt::print(where, "listening on {}\n", to_string(UdpUrl{{address.host(), address.port()}}));
  }
  std::fflush(where);
}

void Service::run() {
  if (stopping_) {  // the signal came while it began to listen
    stop_listening();
    if (company_ != nullptr) company_->stop();
  }
  finish_if_done();
  loop_.run_until_complete(finished_);
}

void Service::stop_listening() {
  for (const auto& [url, server] : servers_) server.close();
  for (const weir::DatagramTransport& endpoint : endpoints_) endpoint.close();
  servers_.clear();
  endpoints_.clear();
}

void Service::stop() {
  const std::size_t open = conversations_.open() + (company_ != nullptr ? company_->open() : 0);
  if (company_ != nullptr) company_->stop();
  if (stopping_) return conversations_.abort_all();
  stopping_ = true;
  stop_listening();
  if (open > 0 && hears_ == Hears::signals) {
    notices_.line(fmt::format("stopping: {} open, given {:g} s to finish; once more ends at once",
                              open == 1 ? "1 connection is" : fmt::format("{} are", open),
                              grace_.count()));
  }
  if (conversations_.open() == 0) return finish_if_done();
  loop_.call_later(grace_, [this] { end_of_grace(); });
}

void Service::end_of_grace() {
  conversations_.close_all();
  loop_.call_later(flush_time, [this] { conversations_.abort_all(); });
}

void Service::finish_if_done() {
  if (listens() || conversations_.open() > 0 || finished_.done()) return;
  if (company_ == nullptr || company_->is_done()) finished_.set_result();
}

}  // namespace weir_tool
