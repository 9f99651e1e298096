#include "connect.h"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include "errors.h"
#include "link.h"
#include "url.h"

namespace weir_tool {
namespace {

/// Standard input and output, joined with a peer. The first failure is the program's.
class Session final : public Link {
 public:
  Session(weir::EventLoop& loop, std::chrono::duration<double> linger, Url url, ByteCounts& counts)
      : Link(loop, linger, counts), url_(std::move(url)), done_(loop.create_future()) {}

  const weir::Future<>& done() const { return done_; }

 private:
  void lost(End, const weir::CloseReason& reason) override {
    if (reason && !failure_) failure_ = lost_connection(url_, reason);
  }

  void cut_off(End) override {
    failure_ = std::make_exception_ptr(RunError(
        fmt::format("{} ended without a goodbye of TLS; bytes may be missing, by accident or "
                    "by somebody in between",
                    to_string(url_))));
  }

  void over() override {
    if (failure_) {
      done_.set_exception(failure_);
    } else {
      done_.set_result();
    }
  }

  Url url_;
  weir::Future<> done_;
  std::exception_ptr failure_;
};

}  // namespace

int run_connect(const ConnectCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("connect");
  const Url url = parse_url(command.url, UrlRole::connect);
  weir::EventLoop loop({.backend = command.backend});
  ByteCounts counts;
  const auto session = std::make_shared<Session>(
      loop, std::chrono::duration<double>(command.linger_seconds), url, counts);
  loop.run_until_complete(open_stream(loop, url, session->far()));
  loop.run_until_complete(open_stream(loop, StdioUrl(), session->near()));
  loop.run_until_complete(session->done());
  return exit_ok;
}

}  // namespace weir_tool
