#include "echo.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "echo_protocol.h"
#include "errors.h"
#include "signals.h"
#include "url.h"

namespace weir_tool {
namespace {

/// What is left after the grace period has this long to take what is already echoed.
constexpr std::chrono::seconds flush_time{1};

/// The servers of all endpoints, from the first "listening" line to the last connection.
class EchoService {
 public:
  EchoService(weir::EventLoop& loop, double grace_seconds)
      : loop_(loop), grace_(grace_seconds), finished_(loop.create_future()) {}

  void listen(const Url& url) {
    const auto factory = [this] { return std::make_unique<EchoProtocol>(counts_); };
    try {
      servers_.push_back(
          loop_.run_until_complete(weir::create_server(loop_, factory, url.host, url.port)));
    } catch (const std::system_error& error) {
      throw cannot_listen(url, error);
    }
  }

  void announce() const {
    for (const weir::Server& server : servers_) {
      for (const weir::SocketView& socket : server.sockets()) {
        fmt::print("listening on {}\n", url_of(socket.sockname).to_string());
      }
    }
    std::fflush(stdout);
  }

  /// Done when the last connection is gone after stop().
  const weir::Future<>& finished() const { return finished_; }

  /// The first call lets connections finish, the second one ends them.
  void stop() {
    if (stopping_) return abort();
    stopping_ = true;
    for (const weir::Server& server : servers_) {
      server.close();
      server.wait_closed().add_done_callback([this](const weir::Future<>&) { one_closed(); });
    }
    if (counts_.open == 0) return;
    fmt::print(stderr, "stopping: {} open, given {:g} s to finish; once more ends at once\n",
               counts_.open == 1 ? "1 connection is" : fmt::format("{} are", counts_.open),
               grace_.count());
    loop_.call_later(grace_, [this] { end_of_grace(); });
  }

 private:
  void end_of_grace() {
    for (const weir::Server& server : servers_) server.close_clients();
    loop_.call_later(flush_time, [this] { abort(); });
  }

  void abort() {
    for (const weir::Server& server : servers_) server.abort_clients();
  }

  void one_closed() {
    if (++closed_ == servers_.size()) finished_.set_result();
  }

  weir::EventLoop& loop_;
  std::chrono::duration<double> grace_;
  weir::Future<> finished_;
  EchoCounts counts_;
  std::vector<weir::Server> servers_;
  std::size_t closed_ = 0;
  bool stopping_ = false;
};

std::vector<Url> parse_urls(const std::vector<std::string>& texts) {
  std::vector<Url> urls;
  urls.reserve(texts.size());
  for (const std::string& text : texts) {
    urls.push_back(parse_url(text, PortRule::zero_takes_a_free_one));
  }
  return urls;
}

}  // namespace

int run_echo(const EchoCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("echo");
  const std::vector<Url> urls = parse_urls(command.urls);
  weir::EventLoop loop({.backend = command.backend});
  EchoService service(loop, command.grace_seconds);
  StopSignals signals(loop);
  for (const Url& url : urls) service.listen(url);
  signals.on_signal([&] { service.stop(); });
  service.announce();
  loop.run_until_complete(service.finished());
  return exit_ok;
}

}  // namespace weir_tool
