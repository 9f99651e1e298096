// The end of a TLS connection whose peer is gone at once, as one over a Unix socket can be: T12, T14, T20.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include "temporary_directory.h"
#include "tls_support.h"

namespace weir::test {
namespace {

class TlsEnding : public EveryTls {
 protected:
  /// A connection over a Unix socket, on which nothing can be sent any more once the peer is closed.
  Ends connected_over_unix() {
    const std::string path = new_socket_path();
    Server server = run_until_done(
        create_unix_server(loop(), accepting_factory(), path, {.tls = server_context()}));
    Recorder& client = new_client();
    run_until_done(
        create_unix_connection(loop(), factory_of(client), path,
                               {.tls = client_context(), .server_hostname = "localhost"}));
    run_until([&] { return !accepted.empty() && accepted.back().made(); });
    server.close();
    return {client, accepted.back()};
  }
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, TlsEnding, ::testing::ValuesIn(backends()), backend_name);

// T14: a connection that was cut off ends without an error, though our end cannot be told any more.
TEST_P(TlsEnding, IsRegularWhenCutOff) {
  const auto [client, server] = connected_over_unix();
  server.transport.abort();
  run_until([&client = client] { return client.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// T12: so does one whose peer told its end and did not wait for ours.
TEST_P(TlsEnding, IsRegularWhenThePeerDoesNotWait) {
  const auto [client, server] = connected_over_unix();
  client.transport.pause_reading();
  server.transport.close();
  server.transport.abort();
  run_until([&server = server] { return server.lost(); });
  settle_loop();
  client.transport.resume_reading();
  run_until([&client = client] { return client.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// T15: but what was written and is lost is told.
TEST_P(TlsEnding, TellsOfWhatIsLost) {
  const auto [client, server] = connected_over_unix();
  client.on("eof_received", [&client = client] { client.transport.write("lost"); });
  server.transport.abort();
  run_until([&client = client] { return client.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "eof_received", "connection_lost:disconnected"));
}

// T20: who has closed itself is warned as well.
TEST_P(TlsEnding, WarnsThatNobodyStaysOpen) {
  const auto [client, server] = connected_over_unix();
  client.keep_open = true;
  client.transport.close();
  run_until([&client = client] { return client.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(take_logs(),
            calls("warning: returning true from eof_received() has no effect when using ssl"));
}

}  // namespace weir::test
