// Chapter T: TLS, where it is not as any other stream. What it has in common with them is tested there.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

#include "off_thread.h"
#include "sent_file.h"
#include "tap.h"
#include "tls_support.h"

namespace weir::test {
namespace {

using Limits = EffectiveReadBufferLimits;

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, EveryTls, ::testing::ValuesIn(backends()), backend_name);

// --- The handshake ----------------------------------------------------------------------------------

// T2, X4: connection_made() comes after the handshake, and knows what that agreed on.
TEST_P(EveryTls, KnowsTheHandshakeInConnectionMade) {
  Recorder& client = new_client();
  std::optional<TlsCipher> cipher;
  std::optional<PeerCertificate> certificate;
  client.on("connection_made", [&] {
    cipher = client.transport.get_extra_info<TlsCipher>("cipher");
    certificate = client.transport.get_extra_info<PeerCertificate>("peercert");
  });
  const Server server = listen_tls();
  run_until_done(start_client(client, port_of(server)));
  ASSERT_TRUE(cipher && certificate);
  EXPECT_EQ(cipher->version, "TLSv1.3");
  EXPECT_EQ(certificate->subject, "CN=localhost,O=Weir");
}

// X4: what TLS does not know is asked of the connection below.
TEST_P(EveryTls, AsksTheConnectionBelowForTheRest) {
  const auto [client, server] = connected();
  EXPECT_EQ(client.transport.get_extra_info<Address>("peername"),
            server.transport.get_extra_info<Address>("sockname"));
  EXPECT_EQ(client.transport.get_extra_info<TlsContext>("sslcontext"), client_context());
  EXPECT_EQ(server.transport.get_extra_info<TlsContext>("sslcontext"), server_context());
  EXPECT_NE(client.transport.get_extra_info<NativeHandle>("ssl_object"), std::nullopt);
  EXPECT_EQ(client.transport.get_extra_info("compression"), ExtraInfo());
  EXPECT_EQ(client.transport.get_extra_info("no such thing", true), ExtraInfo(true));
}

// B7, X4: all of it is known until connection_lost() has returned, whoever ended the connection.
TEST_P(EveryTls, KnowsThePeerInConnectionLost) {
  const auto [client, server] = connected();
  std::size_t knew = 0;
  for (Recorder* end : {&client, &server}) {
    end->on("connection_lost", [end, &knew] {
      const bool peer = end->transport.get_extra_info<Address>("peername").has_value();
      const bool cipher = end->transport.get_extra_info<TlsCipher>("cipher").has_value();
      knew += peer && cipher ? 1 : 0;
    });
  }
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(knew, 2U);
}

// T3: whoever pauses reading in connection_made() does not keep its peer waiting.
TEST_P(EveryTls, FlushesTheLastFlightOfAPausedSide) {
  Recorder& client = new_client();
  client.on("connection_made", [&] { client.transport.pause_reading(); });
  const Server server = listen_tls();
  run_until_done(start_client(client, port_of(server)));
  run_until([&] { return accepted.size() == 1 && accepted[0].made(); });
}

// T28, B8: what the two agree on by ALPN is known to both.
TEST_P(EveryTls, AgreesOnAProtocol) {
  const auto [client, server] = connected(
      {.tls = TlsContext::client({.trusted = {authority().trusted()}, .alpn = {"h2", "http/1.1"}})},
      {.tls = TlsContext::server(
           {.identity = authority().server().identity(), .alpn = {"http/1.1"}})});
  for (const Recorder* end : {&client, &server}) {
    EXPECT_EQ(end->transport.get_extra_info<std::string>("alpn"), "http/1.1");
  }
}

// T6: a peer that goes away during the handshake is a reset; the protocol hears nothing.
TEST_P(EveryTls, FailsWhenThePeerGoesAwayDuringTheHandshake) {
  const Server server = run_until_done(create_server(
      loop(),
      [] {
        struct Closing : Protocol {
          void connection_made(Transport transport) override { transport.close(); }
        };
        return std::make_shared<Closing>();
      },
      "127.0.0.1", 0));
  Recorder& client = new_client();
  EXPECT_EQ(outcome_of(start_client(client, port_of(server))), "Connection reset by peer");
  EXPECT_EQ(client.calls, Calls());
}

// T5: whoever does not speak TLS fails the handshake, of either side; a server goes on serving.
TEST_P(EveryTls, FailsWhenThePeerDoesNotSpeakTls) {
  const Server server = listen_tls();
  Recorder& stranger = new_client("stranger");
  run_until_done(start_connecting(stranger, "127.0.0.1", port_of(server)));
  stranger.transport.write("GET / HTTP/1.1\r\n\r\n");
  run_until([&] { return stranger.lost(); });
  EXPECT_EQ(accepted.at(0).calls, Calls());
  connect_tls(port_of(server));
  EXPECT_EQ(accepted.at(1).calls, calls("connection_made"));

  const Server talker = run_until_done(create_server(
      loop(),
      [] {
        struct Greeting : Protocol {
          void connection_made(Transport transport) override { transport.write("220 hello\r\n"); }
        };
        return std::make_shared<Greeting>();
      },
      "127.0.0.1", 0));
  Recorder& client = new_client();
  auto failed = start_client(client, port_of(talker));
  run_until([&] { return failed.done(); });
  EXPECT_THROW(failed.result(), TlsError);
  EXPECT_EQ(client.calls, Calls());
}

// T5, T28: a client that does not trust the certificate, or that it is the host's, fails; neither protocol
// hears anything, and nothing is reported.
TEST_P(EveryTls, FailsWhenTheCertificateIsRefused) {
  const Server server = listen_tls();
  for (const ConnectOptions& options : {ConnectOptions{.tls = TlsContext::client()},
                                        ConnectOptions{.server_hostname = "example.org"}}) {
    Recorder& client = new_client();
    auto failed = start_client(client, port_of(server), options);
    run_until([&] { return failed.done(); });
    EXPECT_THROW(failed.result(), CertificateError);
    EXPECT_EQ(client.calls, Calls());
  }
  run_until([&] { return accepted.size() == 2; });
  settle_loop();
  EXPECT_EQ(accepted[0].calls, Calls());
  EXPECT_EQ(accepted[1].calls, Calls());
  EXPECT_EQ(take_reports(), Calls());
}

// N3: an empty server_hostname is no check of the name.
TEST_P(EveryTls, ChecksNoNameIfToldSo) {
  const auto [client, server] = connected({.server_hostname = ""});
  EXPECT_TRUE(client.made());
}

// T4: a handshake that takes too long fails the opener; a server closes the connection.
TEST_F(SimulatedTls, GivesUpAHandshakeThatTakesTooLong) {
  const Server silent = listen();
  Recorder& client = new_client();
  EXPECT_EQ(outcome_of(start_client(client, port_of(silent))), "Software caused connection abort");
  EXPECT_EQ(client.calls, Calls());

  const Server server = listen_tls({.tls_handshake_timeout = std::chrono::milliseconds(1)});
  Recorder& stranger = new_client("stranger");
  run_until_done(start_connecting(stranger, "127.0.0.1", port_of(server)));
  run_until([&] { return stranger.lost(); });
  EXPECT_EQ(accepted.back().calls, Calls());
}

// T7: cancelling during the handshake ends it, without a callback.
TEST_P(EveryTls, EndsTheHandshakeWhenCancelled) {
  const Server silent = listen();
  Recorder& client = new_client();
  auto opening = start_client(client, port_of(silent));
  run_until([&] { return accepted.size() == 1 && !accepted[0].received.empty(); });
  opening.cancel();
  run_until([&] { return accepted[0].lost(); });
  EXPECT_TRUE(opening.cancelled());
  EXPECT_EQ(client.calls, Calls());
}

// T8: no timer is left by a handshake that is done, nor by a connection that is closed.
TEST_P(EveryTls, LeavesNoTimers) {
  const auto [client, server] = connected();
  settle_loop();
  iterate(3);
  EXPECT_EQ(loop().next_deadline(), std::nullopt);
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  settle_loop();
  iterate(3);
  EXPECT_EQ(loop().next_deadline(), std::nullopt);
}

// T4: a handshake byte by byte works, and so does everything after it.
TEST(TlsByteByByte, Works) {
  EventLoop loop({.backend = BackendKind::simulated, .simulation = {.max_segment = 1}});
  Recorder left(loop, ProtocolKind::stream, "left");
  Recorder right(loop, ProtocolKind::buffered, "right");
  Server server = run_until_done(
      loop, create_server(
                loop, [&] { return right.protocol(); }, "127.0.0.1", 0, tls_server()));
  run_until_done(
      loop, create_connection(
                loop, [&] { return left.protocol(); }, "127.0.0.1", port_of(server), tls_client()));
  const std::string sent = pattern(2000);
  left.transport.write(sent);
  left.transport.close();
  run_until(loop, [&] { return left.lost() && right.lost(); });
  EXPECT_TRUE(right.received == sent);
  EXPECT_EQ(left.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(left.violations, Calls());
  EXPECT_EQ(right.violations, Calls());
  loop.close();
}

// --- The end ----------------------------------------------------------------------------------------

// T9, T12: close() sends what was written and then the end, which the other side answers.
TEST_P(EveryTls, ClosesInOrder) {
  const auto [client, server] = connected();
  const std::string sent = pattern(3 * MiB);
  server.transport.write(sent);
  server.transport.close();
  std::optional<bool> clean;
  client.on("eof_received", [&, &client = client] { clean = ended_cleanly(client); });
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_TRUE(client.received == sent);
  EXPECT_EQ(clean, true);
  EXPECT_EQ(client.calls, calls("connection_made", "data_received:3145728 bytes", "eof_received",
                                "connection_lost"));
  EXPECT_EQ(server.calls.front(), "connection_made");
  EXPECT_EQ(server.calls.back(), "connection_lost");
}

// T9: how long is for the opener to say, of either side.
TEST_F(SimulatedTls, WaitsForTheEndAsLongAsItWasTold) {
  const auto [client, server] = connected({.tls_shutdown_timeout = std::chrono::hours(2)},
                                          {.tls_shutdown_timeout = std::chrono::milliseconds(1)});
  client.transport.pause_reading();
  server.transport.pause_reading();
  client.transport.close();
  server.transport.close();
  run_until([&client = client, &server = server] { return client.lost() && server.lost(); });
}

// T10, T19: a side that has paused reading when it closes does not hear of the peer's answer.
TEST_P(EveryTls, HearsNoEndWhilePaused) {
  const auto [client, server] = connected();
  client.transport.pause_reading();
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "connection_lost"));
}

// T19: the peer's end waits while reading is paused, and so does our answer.
TEST_P(EveryTls, AnswersTheEndOnceItReadsAgain) {
  const auto [client, server] = connected();
  server.transport.pause_reading();
  client.transport.write("last words");
  client.transport.close();
  settle_loop();
  EXPECT_EQ(server.calls, calls("connection_made"));
  EXPECT_FALSE(client.lost());
  server.transport.resume_reading();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(server.calls, calls("connection_made", "data_received:last words", "eof_received",
                                "connection_lost"));
  EXPECT_FALSE(client.reason);
}

// T11: abort() tells the peer nothing: what that gets is cut off.
TEST_F(SimulatedTls, AbortsWithoutAnEnd) {
  const auto [client, server] = connected();
  std::optional<bool> clean;
  server.on("eof_received", [&, &server = server] { clean = ended_cleanly(server); });
  client.transport.abort();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "connection_lost"));
  EXPECT_EQ(server.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(clean, false);
}

// T11, T14: an abort() in the middle of closing drops what is unsent; the peer must not take what it got for
// all there was.
TEST_P(EveryTls, CutsOffWhatAnAbortDropsWhileClosing) {
  const auto [client, server] = connected();
  client.transport.set_write_buffer_limits({.high = 8 * MiB, .low = 4 * MiB});
  client.on("resume_writing", [&client = client] { client.transport.abort(); });
  std::optional<bool> clean;
  server.on("eof_received", [&, &server = server] { clean = ended_cleanly(server); });
  client.transport.write(pattern(20 * MiB));
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.calls,
            calls("connection_made", "pause_writing", "resume_writing", "connection_lost"));
  EXPECT_EQ(clean, false);
}

// L7: a loop that closes may have a protocol's destructor close another connection.
TEST_P(EveryTls, MayBeClosedWhileTheLoopCloses) {
  struct Closing : Protocol {
    ~Closing() override { other.close(); }
    Transport other;
  };
  const Server server = listen_tls();
  std::array<Transport, 2> transports;
  std::array<std::weak_ptr<Closing>, 2> protocols;
  for (std::size_t i = 0; i < 2; ++i) {
    auto connection = run_until_done(
        create_connection<Closing>(loop(), "127.0.0.1", port_of(server), tls_client()));
    transports.at(i) = connection.transport;
    protocols.at(i) = connection.protocol;
  }
  protocols[0].lock()->other = transports[1];
  protocols[1].lock()->other = transports[0];
  loop().close();
  EXPECT_TRUE(protocols[0].expired() && protocols[1].expired());
}

// T13: what arrives after our end is discarded, and the end stays a regular one.
TEST_P(EveryTls, DiscardsWhatComesAfterItsOwnEnd) {
  const auto [client, server] = connected();
  server.transport.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  server.transport.write(pattern(3 * MiB));
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(server.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// T14: a connection that is cut without the peer's end has ended all the same, and tells that it was cut.
TEST_P(EveryTls, TellsThatItWasCutOff) {
  Server listening = listen_tls();
  Tap tap(loop(), port_of(listening));
  const auto [client, server] = connect_tls(tap.port());
  server.transport.write("all of it?");
  run_until([&client = client] { return client.received == "all of it?"; });
  std::optional<bool> clean;
  client.on("eof_received", [&, &client = client] { clean = ended_cleanly(client); });
  tap.end();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "data_received:all of it?", "eof_received",
                                "connection_lost"));
  EXPECT_EQ(clean, false);
}

// T5, T15: a record that was tampered with ends the connection, and is the reason.
TEST_P(EveryTls, EndsWhenARecordWasTamperedWith) {
  Server listening = listen_tls();
  Tap tap(loop(), port_of(listening));
  const auto [client, server] = connect_tls(tap.port());
  tap.change_to_client([](std::string bytes) {
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    return bytes;
  });
  server.transport.write("hello");
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.count("data_received"), 0U);
  EXPECT_EQ(client.count("eof_received"), 0U);
  EXPECT_THROW(std::rethrow_exception(client.reason.exception()), TlsError);
  EXPECT_EQ(take_reports(), Calls());
}

// T20: one direction cannot end alone.
TEST_P(EveryTls, CannotEndOneDirection) {
  const auto [client, server] = connected();
  EXPECT_FALSE(client.transport.can_write_eof());
  EXPECT_THROW(client.transport.write_eof(), UnsupportedOperationError);
  EXPECT_FALSE(client.transport.is_closing());
}

// T20: it closes at the peer's end also if eof_received() returns true, and warns of that.
TEST_P(EveryTls, WarnsThatItDoesNotStayOpen) {
  const auto [client, server] = connected();
  server.keep_open = true;
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(server.calls, calls("connection_made", "eof_received", "connection_lost"));
  EXPECT_EQ(take_logs(),
            calls("warning: returning true from eof_received() has no effect when using ssl"));
}

// T12: what eof_received() itself writes is sent before our end.
TEST_P(EveryTls, SendsWhatTheEndCallbackWrites) {
  const auto [client, server] = connected();
  Server listening = listen_tls();
  server.on("eof_received", [&server = server] { server.transport.write("discarded, but sent"); });
  client.transport.close();
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_FALSE(client.reason);
  EXPECT_FALSE(server.reason);
}

// T21: what is written after close() is dropped, also while what was written before is on its way.
TEST_P(EveryTls, DropsWhatIsWrittenAfterClose) {
  const auto [client, server] = connected();
  const std::string sent = pattern(3 * MiB);
  client.transport.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  client.transport.write(sent);
  client.transport.close();
  for (int write = 0; write < 6; ++write) client.transport.write("too late");
  EXPECT_EQ(take_logs(), calls("warning: SSL connection is closed"));
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_TRUE(server.received == sent);
}

// --- Flow control -----------------------------------------------------------------------------------

// T16: what is not encrypted yet is what counts as unsent.
TEST_P(EveryTls, CountsWhatIsNotEncrypted) {
  const auto [client, server] = connected();
  client.transport.write("x");
  EXPECT_EQ(client.transport.get_write_buffer_size(), 0U);
  server.transport.pause_reading();
  const std::string chunk(256 * KiB, 'x');
  for (int write = 0; write < 100; ++write) {
    const std::size_t before = client.transport.get_write_buffer_size();
    client.transport.write(chunk);
    if (before > 0) {
      EXPECT_EQ(client.transport.get_write_buffer_size(), before + chunk.size());
    }
  }
  EXPECT_GT(client.transport.get_write_buffer_size(), 512 * KiB);
  EXPECT_EQ(client.calls, calls("connection_made", "pause_writing"));
}

// T17: new marks count in both directions at once, but resume_writing() comes from the loop. [B16]
TEST_P(EveryTls, EvaluatesNewMarksInBothDirections) {
  const auto [client, server] = connected();
  server.transport.pause_reading();
  const std::string chunk(256 * KiB, 'x');
  while (client.count("pause_writing") == 0) client.transport.write(chunk);
  client.transport.set_write_buffer_limits(
      {.high = std::size_t{1} << 30U, .low = std::size_t{1} << 29U});
  EXPECT_EQ(client.calls, calls("connection_made", "pause_writing"));
  iterate(1);
  EXPECT_EQ(client.calls, calls("connection_made", "pause_writing", "resume_writing"));
  client.transport.set_write_buffer_limits({.high = 0});
  EXPECT_EQ(client.calls,
            calls("connection_made", "pause_writing", "resume_writing", "pause_writing"));
}

// U11, T18: what was kept is read in pieces of any size, with pauses in between.
TEST_P(EveryTls, ReadsWhatItKeptInSmallPieces) {
  struct Sipping : BufferedProtocol {
    explicit Sipping(EventLoop& running) : loop(running) {}
    void connection_made(Transport made) override {
      transport = made;
      transport.set_read_buffer_limits({.high = 64 * MiB});
    }
    std::span<std::byte> get_buffer(std::ptrdiff_t) override { return buffer; }
    void buffer_updated(std::size_t count) override {
      received += as_text(std::span(buffer).first(count));
      transport.pause_reading();
      loop.call_soon([this] { transport.resume_reading(); });
    }
    EventLoop& loop;
    Transport transport;
    std::array<std::byte, 1000> buffer{};
    std::string received;
  };
  const Server server = listen_tls();
  auto connection = run_until_done(create_connection(
      loop(), [this] { return std::make_shared<Sipping>(loop()); }, "127.0.0.1", port_of(server),
      tls_client()));
  run_until([&] { return !accepted.empty() && accepted.back().made(); });
  const std::string sent = pattern(1 * MiB);
  accepted.back().transport.write(sent);
  run_until([&] { return connection.protocol->received.size() == sent.size(); });
  EXPECT_TRUE(connection.protocol->received == sent);
  connection.transport.abort();
}

// T18: what arrives while reading is paused is kept, but not without end; then the peer has to wait.
TEST_P(EveryTls, HoldsABoundedAmountWhilePaused) {
  const auto [client, server] = connected();
  EXPECT_EQ(server.transport.get_read_buffer_limits(),
            (Limits{.low = 64 * KiB, .high = 256 * KiB}));
  server.transport.pause_reading();
  const std::string sent = pattern(16 * MiB);
  client.transport.write(sent);
  settle_loop();
  EXPECT_GT(server.transport.get_read_buffer_size(), 256 * KiB);
  EXPECT_LE(server.transport.get_read_buffer_size(), 512 * KiB);
  EXPECT_GT(client.transport.get_write_buffer_size(), 0U);
  server.transport.resume_reading();
  run_until([&, &server = server] { return server.received.size() == sent.size(); });
  EXPECT_EQ(server.transport.get_read_buffer_size(), 0U);
  EXPECT_TRUE(server.received == sent);
}

// T18: the marks of reading are set as those of writing; other transports have none.
TEST_P(EveryTls, HasMarksOfReading) {
  const auto [client, server] = connected();
  client.transport.set_read_buffer_limits({.high = 1000});
  EXPECT_EQ(client.transport.get_read_buffer_limits(), (Limits{.low = 250, .high = 1000}));
  EXPECT_THROW(client.transport.set_read_buffer_limits({.high = 1, .low = 2}),
               std::invalid_argument);
  EXPECT_EQ(client.transport.get_read_buffer_limits(), (Limits{.low = 250, .high = 1000}));
  client.transport.set_read_buffer_limits();
  EXPECT_EQ(client.transport.get_read_buffer_limits(),
            (Limits{.low = 64 * KiB, .high = 256 * KiB}));

  const Server plain = listen();
  const Recorder& socket = EndpointTest::connect(port_of(plain));
  EXPECT_THROW(socket.transport.set_read_buffer_limits(), UnsupportedOperationError);
  EXPECT_THROW(socket.transport.get_read_buffer_limits(), UnsupportedOperationError);
  EXPECT_THROW(socket.transport.get_read_buffer_size(), UnsupportedOperationError);
}

// --- Errors -----------------------------------------------------------------------------------------

// T29: an exception of connection_made() is fatal, is reported, and fails the opener.
TEST_P(EveryTls, EndsWhenConnectionMadeThrows) {
  const Server server = listen_tls();
  Recorder& client = new_client();
  client.on("connection_made", [] { throw std::runtime_error("boom"); });
  EXPECT_EQ(outcome_of(start_client(client, port_of(server))), "boom");
  run_until([&] { return client.lost(); });
  EXPECT_EQ(client.calls, calls("connection_made", "connection_lost:boom"));
  EXPECT_EQ(take_reports(), calls("Fatal error on SSL protocol [boom]"));
}

// T29: of a server's protocol, too; serving goes on.
TEST_P(EveryTls, EndsTheAcceptedConnectionWhoseConnectionMadeThrows) {
  Recorder& right = new_client("right");
  right.on("connection_made", [] { throw std::runtime_error("boom"); });
  const Server server =
      run_until_done(create_server(loop(), factory_of(right), "127.0.0.1", 0, tls_server()));
  Recorder& client = new_client();
  run_until_done(start_client(client, port_of(server)));
  run_until([&] { return client.lost() && right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "connection_lost:boom"));
  EXPECT_EQ(take_reports(), calls("Fatal error on SSL protocol [boom]"));
  EXPECT_TRUE(server.is_serving());
}

// T22, S12: it is closing as soon as what is below is, and its end comes once.
TEST_P(EveryTls, IsClosingOnceWhatIsBelowIs) {
  const Server server = listen_tls();
  const auto [client, right] = connect_tls(port_of(server));
  server.abort_clients();
  EXPECT_TRUE(right.transport.is_closing());
  EXPECT_FALSE(right.transport.is_reading());
  right.transport.write("dropped");
  EXPECT_EQ(right.transport.get_write_buffer_size(), 0U);
  run_until([&, &client = client, &right = right] { return client.lost() && right.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "connection_lost"));
}

// T30: the system cannot send a file over TLS by itself.
TEST_P(EveryTls, SendsFilesByBlocksOnly) {
  const auto [client, server] = connected();
  const SentFile file(pattern(100 * KiB));
  EXPECT_EQ(
      outcome_of(sendfile(loop(), client.transport, file.descriptor(), {.fallback = false})),
      "the system cannot send the file by itself: the connection is not a socket of the system");
  EXPECT_EQ(result_off_thread(loop(), sendfile(loop(), client.transport, file.descriptor())),
            100 * KiB);
  run_until([&, &server = server] { return server.received.size() == 100 * KiB; });
}

}  // namespace weir::test
