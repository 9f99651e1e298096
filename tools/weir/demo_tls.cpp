#include "demo_tls.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "conversations.h"
#include "echo_protocol.h"
#include "errors.h"
#include "tls_url.h"
#include "url.h"

namespace weir_tool {
namespace {

constexpr std::string_view greeting = "hello, weir";

/// What a client found out.
struct Visit {
  std::string answer;
  std::string version;
  std::string cipher;
  bool resumed = false;
  bool ended_cleanly = false;
};

/// Greets, waits for as much to come back, and says goodbye.
class Visitor : public weir::Protocol {
 public:
  explicit Visitor(weir::Future<Visit> done) : done_(std::move(done)) {}

  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    visit_.version = transport.get_extra_info<std::string>("tls_version").value_or("");
    visit_.cipher =
        transport.get_extra_info<weir::TlsCipher>("cipher").value_or(weir::TlsCipher()).name;
    visit_.resumed = transport.get_extra_info<bool>("session_reused").value_or(false);
    transport.write(greeting);
  }
  void data_received(std::span<const std::byte> data) override {
    visit_.answer += weir::as_text(data);
    if (visit_.answer.size() >= greeting.size()) transport_.close();
  }
  void connection_lost(const weir::CloseReason&) override {
    visit_.ended_cleanly = transport_.get_extra_info<bool>("tls_clean_shutdown").value_or(false);
    done_.set_result(std::move(visit_));
  }

 private:
  weir::Future<Visit> done_;
  weir::Transport transport_;
  Visit visit_;
};

Visit visit(weir::EventLoop& loop, const TlsUrl& url, const weir::TlsContext& context) {
  const auto done = loop.create_future<Visit>();
  loop.run_until_complete(weir::create_connection(
      loop, [&] { return std::make_unique<Visitor>(done); }, url.host, url.port, {.tls = context}));
  Visit visit = loop.run_until_complete(done);
  if (visit.answer != greeting || !visit.ended_cleanly) {
    throw RunError(fmt::format("wrong answer over TLS: '{}', not '{}', {}; this is a bug in weir",
                               visit.answer, greeting,
                               visit.ended_cleanly ? "ended cleanly" : "cut off"));
  }
  return visit;
}

/// Why the server was refused; the words of a connection that was made after all are an error.
std::string refusal(weir::EventLoop& loop, const TlsUrl& url) {
  try {
    const auto connection = loop.run_until_complete(weir::create_connection<weir::Protocol>(
        loop, url.host, url.port, {.tls = weir::TlsContext::client()}));
    connection.transport.abort();
  } catch (const weir::CertificateError& error) {
    return error.code().message();
  }
  throw RunError("trusted a certificate that nobody vouches for; this is a bug in weir");
}

}  // namespace

void show_tls(weir::BackendKind backend,
              const std::function<void(std::string_view what, std::string_view details)>& passed) {
  const TlsPair pair = make_tls_pair({"127.0.0.1", 0});
  Conversations conversations;
  weir::EventLoop loop({.backend = backend});
  const weir::Server server = serve_echo(loop, pair.server, conversations);
  const Url url = url_at(pair.server, server.sockets().front().sockname);
  const auto& at = std::get<TlsUrl>(url);

  const Visit first = visit(loop, at, pair.client.context);
  passed("echo", fmt::format("\"{}\" to {} and back, encrypted", first.answer, to_string(url)));
  passed("agreed on", fmt::format("{}, {}", first.version, first.cipher));
  const Visit second = visit(loop, at, pair.client.context);
  passed("again",
         second.resumed ? "the session was resumed, no certificate was needed" : "a new session");
  passed("a stranger", fmt::format("refused the server: {}", refusal(loop, at)));

  server.close();
  loop.run_until_complete(server.wait_closed());
}

}  // namespace weir_tool
