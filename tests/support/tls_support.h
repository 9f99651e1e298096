#pragma once

#include <weir/weir.h>

#include <cstdint>
#include <string>
#include <utility>

#include "certificates.h"
#include "endpoint_support.h"
#include "stream_maker.h"

namespace weir::test {

/// Who signs the certificate of server_context(), and whom client_context() trusts.
const TestCertificate& authority();

inline ConnectOptions tls_client(ConnectOptions options = {}) {
  if (!options.tls) options.tls = client_context();
  return options;
}

inline ServerOptions tls_server(ServerOptions options = {}) {
  if (!options.tls) options.tls = server_context();
  return options;
}

/// A test of TLS with clients and servers on one loop.
class TlsTest : public EndpointTest {
 protected:
  struct Ends {
    Recorder& client;
    Recorder& server;
  };

  Server listen_tls(ServerOptions options = {}) {
    return listen("127.0.0.1", 0, tls_server(std::move(options)));
  }
  auto start_client(Recorder& client, std::uint16_t port, ConnectOptions options = {}) {
    return start_connecting(client, "127.0.0.1", port, tls_client(std::move(options)));
  }
  /// A connection to the server at `port`, or whoever passes on to it; waits until both ends were told.
  Ends connect_tls(std::uint16_t port, ConnectOptions options = {}) {
    const std::size_t before = accepted.size();
    Recorder& client = new_client();
    run_until_done(start_client(client, port, std::move(options)));
    run_until([&] { return accepted.size() > before && accepted.back().made(); });
    return {client, accepted.back()};
  }
  Ends connected(ConnectOptions client = {}, ServerOptions server = {}) {
    Server listening = listen_tls(std::move(server));
    const Ends ends = connect_tls(port_of(listening), std::move(client));
    listening.close();
    return ends;
  }
  /// Drives the loop until whatever was under way has arrived: messages that set out later, on a
  /// connection of their own, have gone there and back several times.
  void settle_loop() {
    Recorder& left = new_client("left witness");
    Recorder& right = new_client("right witness");
    Server server = run_until_done(create_server(loop(), factory_of(right), "127.0.0.1", 0));
    run_until_done(start_connecting(left, "127.0.0.1", port_of(server)));
    run_until([&] { return right.made(); });
    server.close();
    for (std::size_t round = 1; round <= 12; ++round) {
      left.transport.write(".");
      run_until([&] { return right.received.size() == round; });
      right.transport.write(".");
      run_until([&] { return left.received.size() == round; });
    }
    left.transport.close();
    run_until([&] { return left.lost() && right.lost(); });
  }
  static bool ended_cleanly(const Recorder& end) {
    return end.transport.get_extra_info<bool>("tls_clean_shutdown").value();
  }
};

/// The same over every backend.
class EveryTls : public TlsTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_loop(loop_options(GetParam())); }
};

/// The same over the simulation, whose time needs no waiting.
class SimulatedTls : public TlsTest {
 protected:
  void SetUp() override { open_loop(loop_options(BackendKind::simulated)); }
};

}  // namespace weir::test
