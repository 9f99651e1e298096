#include "echo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "echo_protocol.h"
#include "errors.h"
#include "notices.h"
#include "service.h"
#include "url.h"

namespace weir_tool {
namespace {

StreamFactory echo_factory(Service& service) {
  return [&service] { return std::make_shared<EchoProtocol>(service.conversations()); };
}

void warn_of_throw_away_certificates(const std::vector<Url>& urls, Notices& notices) {
  for (const Url& url : urls) {
    const auto* const tls = std::get_if<TlsUrl>(&url);
    if (tls == nullptr || tls->throw_away_fingerprint.empty()) continue;
    notices.line(fmt::format(
        "weir: {} has no ?cert=FILE, so it shows a certificate made for this run, which nobody "
        "should trust but in tests; its SHA-256 is {}",
        to_string(url), tls->throw_away_fingerprint));
  }
}

/// The threads besides that of `first`, which accept from its sockets as well.
class OtherThreads final : public Company {
 public:
  OtherThreads(Service& first, const EchoCommand& command)
      : first_(first),
        services_(command.threads - 1),
        running_(services_.size()),
        threads_(
            services_.size(),
            [this, grace = command.grace_seconds](weir::LoopThread& self) { serve(self, grace); },
            {.backend = command.backend}) {
    first_.set_company(this);
  }
  OtherThreads(const OtherThreads&) = delete;
  OtherThreads& operator=(const OtherThreads&) = delete;
  ~OtherThreads() { first_.set_company(nullptr); }

  std::size_t open() override {
    std::size_t open = 0;
    for (std::size_t index = 0; index < threads_.size(); ++index) {
      auto answer = std::make_shared<std::promise<std::size_t>>();
      std::future<std::size_t> result = answer->get_future();
      threads_.post(index, [this, index, answer = std::move(answer)] {
        answer->set_value(services_[index]->conversations().open());
      });
      try {
        open += result.get();
      } catch (const std::future_error&) {  // it is over
      }
    }
    return open;
  }
  void stop() override {
    for (std::size_t index = 0; index < threads_.size(); ++index) {
      threads_.post(index, [this, index] { services_[index]->stop(); });
    }
  }
  bool is_done() const override { return running_ == 0; }

 private:
  void serve(weir::LoopThread& self, double grace) {
    Service service(self.loop(), grace, Hears::nothing);
    first_.for_each_socket([&](const Url& url, const weir::SocketView& socket) {
      service.serve_along(url, socket.descriptor, echo_factory(service));
    });
    services_[self.index()] = &service;
    self.ready();
    service.run();
    first_.loop().call_soon_threadsafe([this] {
      --running_;
      first_.finish_if_done();
    });
  }

  Service& first_;
  std::vector<Service*> services_;  ///< of each thread, and used there only
  std::size_t running_;
  weir::LoopThreads threads_;
};

}  // namespace

int run_echo(const EchoCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("echo");
  std::vector<Url> urls;
  urls.reserve(command.urls.size());
  for (const std::string& text : command.urls) urls.push_back(parse_url(text, UrlRole::echo));

  weir::EventLoop loop({.backend = command.backend});
  Service service(loop, command.grace_seconds);
  warn_of_throw_away_certificates(urls, service.notices());
  for (const Url& url : urls) {
    if (const auto* udp = std::get_if<UdpUrl>(&url)) {
      service.serve(echo_datagrams(loop, *udp));
    } else {
      service.serve(url, echo_factory(service));
    }
  }
  std::optional<OtherThreads> others;
  if (command.threads > 1) others.emplace(service, command);
  const bool uses_stdio = std::any_of(urls.begin(), urls.end(), is<StdioUrl>);
  service.announce(uses_stdio ? stderr : stdout);
  service.run();
  return exit_ok;
}

}  // namespace weir_tool
