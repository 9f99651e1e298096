#include "stream_maker.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <vector>

#ifdef WEIR_TEST_TLS
#include "tls_support.h"
#endif

namespace weir::test {
namespace {

std::string_view kind_name(StreamKind kind) {
  switch (kind) {
    case StreamKind::tcp: break;
    case StreamKind::unix_socket: return "unix_";
    case StreamKind::tls: return "tls_";
    case StreamKind::tls_in_tls: return "tls_in_tls_";
  }
  return "tcp_";
}

#ifdef WEIR_TEST_TLS
constexpr bool has_tls = true;
#else
constexpr bool has_tls = false;
#endif

/// Starts TLS over the TLS connection whose protocol it is.
class TlsStarter final : public Protocol {
 public:
  TlsStarter(EventLoop& loop, AnyProtocol protocol, const TlsContext& context,
             std::function<void(const Transport&)> ready)
      : loop_(loop), protocol_(std::move(protocol)), context_(context), ready_(std::move(ready)) {}

  void connection_made(Transport transport) override {
    StartTlsOptions options;
    if (!context_.is_server()) options.server_hostname = "localhost";
    start_tls(loop_, transport, protocol_, context_, options)
        .add_done_callback(
            [protocol = protocol_, ready = ready_](const Future<Transport>& started) {
              protocol.base()->connection_made(started.result());
              if (ready) ready(started.result());
            });
  }

 private:
  EventLoop& loop_;
  AnyProtocol protocol_;
  TlsContext context_;
  std::function<void(const Transport&)> ready_;
};

}  // namespace

#ifdef WEIR_TEST_TLS
const TestCertificate& authority() {
  static const TestCertificate certificate = TestCertificate::authority();
  return certificate;
}

const TlsContext& client_context() {
  static const TlsContext context = TlsContext::client({.trusted = {authority().trusted()}});
  return context;
}

const TlsContext& server_context() {
  static const TlsContext context =
      // Without tickets, which would make a client ask for a buffer although there is no data. [U7]
      TlsContext::server({.identity = authority().server().identity(), .resume_sessions = false});
  return context;
}
#else
const TlsContext& client_context() { throw std::logic_error("no TLS in this build"); }
const TlsContext& server_context() { return client_context(); }
#endif

std::vector<BackendKind> backends() {
  std::vector<BackendKind> kinds{BackendKind::epoll, BackendKind::uring, BackendKind::simulated};
  if (!has_uring()) std::erase(kinds, BackendKind::uring);
  return kinds;
}

bool has_uring() {
  static const bool result = [] {
    try {
      const EventLoop loop({.backend = BackendKind::uring});
      return true;
    } catch (const std::system_error& error) {
      std::fprintf(stderr, "io_uring is not tested: %s\n", error.what());
      return false;
    }
  }();
  return result;
}

LoopOptions loop_options(BackendKind backend) {
  return {.backend = backend, .simulation = {.buffer_size = 64 * KiB}};
}

std::string StreamMaker::name() const {
  std::string name(kind_name(kind));
  name += to_string(backend);
  if (protocol == ProtocolKind::buffered) name += "_buffered";
  return name;
}

LoopOptions StreamMaker::loop_options() const { return test::loop_options(backend); }

ConnectOptions StreamMaker::connect_options() const {
  ConnectOptions options;
  if (is_tls()) options.tls = client_context();
  return options;
}

ServerOptions StreamMaker::server_options() const {
  ServerOptions options;
  if (is_tls()) options.tls = server_context();
  return options;
}

std::shared_ptr<Protocol> StreamMaker::inside_tls(EventLoop& loop, AnyProtocol protocol,
                                                  const TlsContext& context, Ready ready) {
  return std::make_shared<TlsStarter>(loop, std::move(protocol), context, std::move(ready));
}

std::vector<StreamMaker> stream_makers() {
  std::vector<StreamMaker> makers = stream_makers(ProtocolKind::stream);
  std::ranges::copy(stream_makers(ProtocolKind::buffered), std::back_inserter(makers));
  return makers;
}

std::vector<StreamMaker> stream_makers(ProtocolKind protocol) {
  std::vector<StreamMaker> makers;
  for (const BackendKind backend : backends()) {
    for (const StreamKind kind :
         {StreamKind::tcp, StreamKind::unix_socket, StreamKind::tls, StreamKind::tls_in_tls}) {
      const StreamMaker maker{.backend = backend, .kind = kind, .protocol = protocol};
      if (maker.is_tls() && !has_tls) continue;
      // Once is enough: what it runs over makes no difference to it.
      const bool nested_twice =
          backend != BackendKind::simulated || protocol != ProtocolKind::stream;
      if (kind == StreamKind::tls_in_tls && nested_twice) continue;
      makers.push_back(maker);
    }
  }
  return makers;
}

}  // namespace weir::test
