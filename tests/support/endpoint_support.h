#pragma once

#include <netinet/in.h>
#include <sys/resource.h>
#include <weir/weir.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "descriptor_support.h"
#include "loop_support.h"
#include "loop_test.h"

namespace weir::test {

inline std::uint16_t port_of(const Server& server) {
  return server.sockets().at(0).sockname.port();
}

/// True if this machine has the loopback interface of IPv6.
inline bool has_ipv6() {
  const Descriptor socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  return socket.get() >= 0 &&
         ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// Lets this process open no further descriptors, while it lives.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit lowered = before_;
    const Descriptor next(dup(0));
    lowered.rlim_cur = static_cast<rlim_t>(next.get());
    setrlimit(RLIMIT_NOFILE, &lowered);
    // What lies below may have gaps.
    for (int filler = dup(0); filler >= 0; filler = dup(0)) fillers_.emplace_back(filler);
  }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;
  ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::deque<Descriptor> fillers_;
};

/// A test with servers and clients on one loop, all of which keep diaries.
class EndpointTest : public LoopTest {
 protected:
  void TearDown() override {
    for (const auto* recorders : {&clients_, &accepted}) {
      for (const Recorder& recorder : *recorders) EXPECT_EQ(recorder.violations, Calls());
    }
    LoopTest::TearDown();
  }

  Recorder& new_client(std::string name = "client") {
    return clients_.emplace_back(loop(), ProtocolKind::stream, std::move(name));
  }
  static auto factory_of(Recorder& recorder) {
    return [&recorder] { return std::make_shared<RecordingProtocol>(recorder); };
  }
  /// A factory that keeps the diary of each connection in `accepted`.
  auto accepting_factory() {
    return [this] {
      Recorder& recorder = accepted.emplace_back(loop(), ProtocolKind::stream, "accepted");
      return std::make_shared<RecordingProtocol>(recorder);
    };
  }

  Future<Server> start_listening(Hosts hosts, std::uint16_t port, ServerOptions options = {}) {
    return create_server(loop(), accepting_factory(), std::move(hosts), port, options);
  }
  Server listen(Hosts hosts = "127.0.0.1", std::uint16_t port = 0, ServerOptions options = {}) {
    return run_until_done(start_listening(std::move(hosts), port, options));
  }
  auto start_connecting(Recorder& client, std::string_view host, std::uint16_t port,
                        ConnectOptions options = {}) {
    return create_connection(loop(), factory_of(client), host, port, std::move(options));
  }
  /// A connection to `port`; waits until both ends were told.
  Recorder& connect(std::uint16_t port, std::string_view host = "127.0.0.1") {
    const std::size_t before = accepted.size();
    Recorder& client = new_client();
    run_until_done(start_connecting(client, host, port));
    run_until([&] { return accepted.size() > before && accepted.back().made(); });
    return client;
  }
  /// How a connection to `port` ends that is opened now; see outcome().
  std::string try_to_connect(std::uint16_t port, std::string_view host = "127.0.0.1") {
    auto future = start_connecting(new_client("tried"), host, port);
    run_until([&] { return future.done(); });
    return outcome(future);
  }
  /// Waits for the future and tells how it ended; see outcome().
  template <class T>
  std::string outcome_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    return outcome(future);
  }

  std::deque<Recorder> accepted;  ///< what servers were told, a diary for each connection

 private:
  std::deque<Recorder> clients_;
};

/// The same over every backend.
class EveryEndpoint : public EndpointTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_loop(loop_options(GetParam())); }
};

}  // namespace weir::test
