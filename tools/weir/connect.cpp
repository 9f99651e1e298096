#include "connect.h"

#include <fmt/format.h>

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
  Session(Url url, weir::Future<> done, ByteCounts& counts)
      : Link(counts), url_(std::move(url)), done_(std::move(done)) {}

 private:
  void lost(End, const weir::CloseReason& reason) override {
    if (!reason || failure_) return;
    failure_ = reason.is_exception()
                   ? reason.exception()
                   : std::make_exception_ptr(RunError(
                         fmt::format("lost the connection to {}: {}; the peer ended it, ask there",
                                     to_string(url_), reason.message())));
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
  const weir::Future<> done = loop.create_future();
  ByteCounts counts;
  const auto session = std::make_shared<Session>(url, done, counts);
  loop.run_until_complete(open_stream(loop, url, session->far()));
  loop.run_until_complete(open_stream(loop, StdioUrl(), session->near()));
  loop.run_until_complete(done);
  return exit_ok;
}

}  // namespace weir_tool
