// What comes over the line when the peer, the network or somebody in between is no good: T4-T6, T9, T13-T15,
// T19, T28. No callback is out of order, nothing is reported, and a server serves on.

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <weir/weir.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tap.h"
#include "tls_support.h"

namespace weir::test {
namespace {

/// Where a test runs; in the last of them every read brings one byte.
struct World {
  std::string name;
  BackendKind backend;
  std::size_t max_segment = 0;
  friend void PrintTo(const World& world, std::ostream* out) { *out << world.name; }
};

class TlsBadInput : public TlsTest, public ::testing::WithParamInterface<World> {
 protected:
  void SetUp() override {
    LoopOptions options = loop_options(GetParam().backend);
    if (GetParam().max_segment != 0) options.simulation.max_segment = GetParam().max_segment;
    open_loop(options);
  }

  /// A server that greets everybody with `greeting`, in the clear.
  Server listen_as_talker(const std::string& greeting) {
    struct Talker : Protocol {
      explicit Talker(std::string text) : greeting(std::move(text)) {}
      void connection_made(Transport transport) override { transport.write(greeting); }
      std::string greeting;
    };
    return run_until_done(create_server(
        loop(), [greeting] { return std::make_shared<Talker>(greeting); }, "127.0.0.1", 0));
  }
  /// With what the future fails, which is a failure of type Error.
  template <class Error, class T>
  std::string failure_of(Future<T> future) {
    run_until([&] { return future.done(); });
    try {
      static_cast<void>(future.result());
    } catch (const Error& error) {
      return error.what();
    }
    ADD_FAILURE() << "it did not fail";
    return {};
  }
  /// Stops listening, and waits until all connections are gone.
  void end_of(Server& server) {
    server.close();
    run_until_done(server.wait_closed());
  }
};

/// Worlds whose time needs no waiting.
class TlsSilence : public TlsBadInput {};

const World simulated{.name = "simulated", .backend = BackendKind::simulated};
const World bytewise{
    .name = "simulated_byte_by_byte", .backend = BackendKind::simulated, .max_segment = 1};

std::vector<World> every_world() {
  std::vector<World> worlds{bytewise};
  for (const BackendKind backend : backends()) {
    worlds.push_back({.name = std::string(to_string(backend)), .backend = backend});
  }
  return worlds;
}

std::string world_name(const ::testing::TestParamInfo<World>& test) { return test.param.name; }

/// Lets no more than `limit` bytes pass; `passed` are those that did.
Tap::Change no_more_than(std::size_t limit, const std::string& passed) {
  return [limit, &passed](std::string bytes) {
    bytes.resize(std::min(bytes.size(), limit - std::min(limit, passed.size())));
    return bytes;
  };
}

SSL* ssl_of(const Recorder& end) {
  return static_cast<SSL*>(
      end.transport.get_extra_info<NativeHandle>("ssl_object").value().pointer);
}

TlsContext client_of(TlsVersion version) {
  return TlsContext::client(
      {.trusted = {authority().trusted()}, .minimum_version = version, .maximum_version = version});
}

using namespace std::string_literals;

/// What nobody who speaks TLS begins with.
const std::vector<std::pair<const char*, std::string>> garbage = {
    {"a request of HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
    {"an answer of HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n"},
    {"a greeting of SMTP", "220 mail.example.org ESMTP\r\n"},
    {"zeros", std::string(100, '\0')},
    {"a long text", pattern(100 * KiB)},
    {"an SSL 2 hello", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"s + std::string(40, '\1')},
    {"an alert", "\x15\x03\x03\x00\x02\x02\x28"s},
    {"a record of data", "\x17\x03\x03\x00\x05hello"s},
    {"a record of 64 KiB", "\x16\x03\x01\xff\xff"s + std::string(70'000, '\1')},
    {"an empty handshake message", "\x16\x03\x01\x00\x04\x01\x00\x00\x00"s},
    {"a record without anything", "\x16\x03\x01\x00\x00"s + std::string(1000, '\0')},
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, TlsBadInput, ::testing::ValuesIn(every_world()), world_name);
INSTANTIATE_TEST_SUITE_P(Behaviour, TlsSilence, ::testing::Values(simulated, bytewise), world_name);

// T5: garbage instead of a ClientHello ends the connection, tells the server's protocol nothing, and the
// server serves on.
TEST_P(TlsBadInput, ServersSurviveGarbage) {
  Server server = listen_tls();
  for (const auto& [name, bytes] : garbage) {
    Recorder& stranger = new_client("stranger");
    run_until_done(start_connecting(stranger, "127.0.0.1", port_of(server)));
    stranger.transport.write(bytes);
    run_until([&] { return stranger.lost(); });
    EXPECT_EQ(accepted.back().calls, Calls()) << name;
  }
  const auto [client, accepted_one] = connect_tls(port_of(server));
  EXPECT_EQ(accepted_one.calls, calls("connection_made"));
  client.transport.abort();
  end_of(server);
}

// T5: a client that gets garbage fails with TLS's word for it; its protocol hears nothing.
TEST_P(TlsBadInput, ClientsSurviveGarbage) {
  for (const auto& [name, bytes] : garbage) {
    Server talker = listen_as_talker(bytes);
    Recorder& client = new_client();
    EXPECT_NE(failure_of<TlsError>(start_client(client, port_of(talker))), "") << name;
    EXPECT_EQ(client.calls, Calls()) << name;
    end_of(talker);
  }
}

// T6: a peer that ends in the middle of the handshake, wherever, is a reset connection.
TEST_P(TlsBadInput, TheHandshakeMayBeCutAnywhere) {
  std::size_t flight = 0;
  {
    Server server = listen_tls();
    Tap tap(loop(), port_of(server));
    connect_tls(tap.port()).client.transport.abort();
    flight = tap.to_client().size();
    end_of(server);
  }
  accepted.clear();
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{3}, std::size_t{5}, std::size_t{200}, flight / 2}) {
    Server server = listen_tls();
    Tap tap(loop(), port_of(server));
    tap.change_to_client(no_more_than(length, tap.to_client()));
    Recorder& client = new_client();
    auto opening = start_client(client, tap.port());
    run_until([&] { return !tap.to_server().empty() && tap.to_client().size() == length; });
    settle_loop();
    tap.end();
    EXPECT_EQ(outcome_of(opening), "Connection reset by peer") << length;
    EXPECT_EQ(client.calls, Calls());
    end_of(server);
    EXPECT_EQ(accepted.back().calls, Calls());
  }
}

// T4: a peer that falls silent after any of its flights is waited for until the time is up, by either side;
// who was done before has a connection that ends.
TEST_P(TlsSilence, EndsTheHandshakeAfterAnyFlight) {
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    // How much of the client's flights, and of the server's, is let through: 0, 1 or 2 of them.
    for (const auto& [of_client, of_server] :
         std::vector<std::pair<int, int>>{{0, 0}, {1, 0}, {1, 1}, {2, 1}}) {
      Server server = listen_tls();
      Tap tap(loop(), port_of(server));
      bool answered = false;   // the server sent its first flight
      bool confirmed = false;  // the client its second
      tap.change_to_server([&, allowed = of_client](std::string bytes) {
        confirmed = confirmed || answered;
        return allowed >= (answered ? 2 : 1) ? bytes : "";
      });
      tap.change_to_client([&, allowed = of_server](std::string bytes) {
        answered = true;
        return allowed >= (confirmed ? 2 : 1) ? bytes : "";
      });
      Recorder& client = new_client();
      auto opening = start_client(client, tap.port(), {.tls = client_of(version)});
      run_until([&] { return opening.done(); });
      const bool client_done = version == TlsVersion::tls1_3 && of_server == 1;
      const bool server_done = of_client == 2;
      EXPECT_EQ(outcome(opening), client_done ? "result" : "Software caused connection abort");
      if (server_done && client_done) {
        client.transport.abort();
      }
      end_of(server);
      run_until([&] { return !client.made() || client.lost(); });
      EXPECT_EQ(client.made(), client_done);
      EXPECT_EQ(accepted.back().made(), server_done);
      EXPECT_EQ(accepted.back().lost(), server_done);
    }
  }
}

// T5, T28: whatever is wrong with the server's certificate, the client says so, and nobody else hears.
TEST_P(TlsBadInput, BadCertificatesAreRefused) {
  using std::chrono::hours;
  struct Case {
    std::string why;
    TestCertificate certificate;
    TlsOptions client{.trusted = {authority().trusted()}};
    const char* host = "localhost";
  };
  const TestCertificate good = authority().server();
  const TestCertificate between = authority().intermediate();
  const std::vector<Case> cases = {
      {"certificate has expired",
       authority().issue(
           {.names = {"localhost"}, .not_before = hours(-2), .not_after = hours(-1)})},
      {"certificate is not yet valid",
       authority().issue({.names = {"localhost"}, .not_before = hours(1), .not_after = hours(2)})},
      {"self-signed certificate", TestCertificate({.names = {"localhost"}})},
      {"unable to get local issuer certificate", TestCertificate::authority("Stranger").server()},
      {"hostname mismatch", good, {.trusted = {authority().trusted()}}, "example.org"},
      {"certificate revoked",
       good,
       {.trusted = {authority().trusted()},
        .revocation_lists = {Pem::text(authority().revocation_list({good}))}}},
      {"certificate revoked",
       between.server(),
       {.trusted = {authority().trusted()},
        .revocation_lists = {Pem::text(authority().revocation_list({between})),
                             Pem::text(between.revocation_list())}}},
  };
  for (const Case& each : cases) {
    Server server =
        listen_tls({.tls = TlsContext::server({.identity = each.certificate.identity()})});
    Recorder& client = new_client();
    const std::string failure = failure_of<CertificateError>(
        start_client(client, port_of(server),
                     {.tls = TlsContext::client(each.client), .server_hostname = each.host}));
    EXPECT_NE(failure.find(each.why), std::string::npos) << failure << "; expected: " << each.why;
    EXPECT_EQ(client.calls, Calls());
    run_until([&] { return !accepted.empty(); });
    end_of(server);
    EXPECT_EQ(accepted.back().calls, Calls()) << each.why;
  }
}

/// Connections on which a whole record has arrived, and the first hundred bytes of another.
class TlsHalfARecord : public TlsBadInput {
 protected:
  void start() {
    server_ = listen_tls();
    tap_.emplace(loop(), port_of(*server_));
    ends_.emplace(connect_tls(tap().port()));
    right().transport.write("whole");
    run_until([&] { return client().received == "whole"; });
    const std::size_t limit = tap().to_client().size() + 100;
    tap().change_to_client(no_more_than(limit, tap().to_client()));
    right().transport.write(pattern(1000));
    run_until([&] { return tap().to_client().size() == limit; });
  }
  void wait_until_lost() {
    run_until([&] { return client().lost() && right().lost(); });
  }
  Tap& tap() { return *tap_; }
  Recorder& client() { return ends_->client; }
  Recorder& right() { return ends_->server; }

 private:
  std::optional<Server> server_;
  std::optional<Tap> tap_;
  std::optional<Ends> ends_;
};
INSTANTIATE_TEST_SUITE_P(Behaviour, TlsHalfARecord, ::testing::ValuesIn(every_world()), world_name);

// T15: a reset in the middle of a record ends the connection with that, and there is no end of the stream.
TEST_P(TlsHalfARecord, IsNoEndIfTheConnectionIsReset) {
  start();
  tap().stop_reading();
  client().transport.write("unread");
  settle_loop();
  tap().abort();
  wait_until_lost();
  EXPECT_TRUE(client().reason);
  EXPECT_EQ(client().received, "whole");
  EXPECT_EQ(client().count("eof_received"), 0U);
}

// T14: a stream that is cut off in the middle of a record ends as one that is cut off between two, without
// the half of it.
TEST_P(TlsHalfARecord, IsNotDeliveredIfTheStreamIsCutOff) {
  start();
  std::optional<bool> clean;
  client().on("eof_received", [&] { clean = ended_cleanly(client()); });
  tap().end();
  wait_until_lost();
  EXPECT_EQ(client().received, "whole");
  EXPECT_EQ(clean, false);
  EXPECT_FALSE(client().reason);
}

// T15: a record that is longer than any may be ends the connection, be it in the clear or not.
TEST_P(TlsBadInput, AnOversizedRecordEndsTheConnection) {
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    Server server = listen_tls();
    Tap tap(loop(), port_of(server));
    const auto [client, right] = connect_tls(tap.port(), {.tls = client_of(version)});
    settle_loop();
    tap.change_to_client(
        [](const std::string&) { return "\x17\x03\x03\x48\x01"s + std::string(0x4801, 'x'); });
    right.transport.write("x");
    run_until([&, &client = client, &right = right] { return client.lost() && right.lost(); });
    EXPECT_EQ(client.received, "");
    EXPECT_EQ(client.count("eof_received"), 0U);
    ASSERT_TRUE(client.reason);
    EXPECT_THROW(std::rethrow_exception(client.reason.exception()), TlsError);
  }
}

// T15: what the line changes, wherever in the handshake or behind it, is found, or harmless; never is there
// other data than was sent.
TEST_P(TlsBadInput, AChangedByteIsFound) {
  for (const std::size_t where : {0U, 1U, 3U, 7U, 60U, 130U, 180U, 400U, 700U, 900U}) {
    Server server = listen_tls();
    Tap tap(loop(), port_of(server));
    const auto spoil = [where](const std::string& passed, std::string bytes) {
      if (passed.size() <= where && where - passed.size() < bytes.size()) {
        char& byte = bytes[where - passed.size()];
        byte = static_cast<char>(byte ^ 0x20);
      }
      return bytes;
    };
    tap.change_to_client(
        [&](std::string bytes) { return spoil(tap.to_client(), std::move(bytes)); });
    Recorder& client = new_client();
    auto opening = start_client(client, tap.port(),
                                {.tls_handshake_timeout = std::chrono::milliseconds(200),
                                 .tls_shutdown_timeout = std::chrono::milliseconds(200)});
    run_until([&] { return opening.done(); });
    if (!opening.exception()) client.transport.close();
    run_until([&] { return !client.made() || client.lost(); });
    EXPECT_EQ(client.received, "");
    tap.abort();
    end_of(server);
  }
}

// T19: new keys in the middle of a large write, asked for by both sides, are no callback of anybody's, and
// all arrives.
TEST_P(TlsBadInput, KeysMayChangeInTheMiddleOfALargeWrite) {
  const std::size_t size = GetParam().max_segment == 1 ? 100 * KiB : 3 * MiB;
  const auto [client, server] = connected();
  const std::string sent = pattern(size);
  for (Recorder* end : {&client, &server}) {
    end->transport.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  }
  int updates = 0;
  for (int round = 0; round < 3; ++round) {
    for (Recorder* end : {&client, &server}) {
      end->transport.write(sent);
      // Refused while the last one is not even sent.
      updates += SSL_key_update(ssl_of(*end), SSL_KEY_UPDATE_REQUESTED);
    }
    iterate(2);
  }
  ERR_clear_error();
  EXPECT_GE(updates, 2);
  run_until([&, &client = client, &server = server] {
    return client.received.size() == 3 * size && server.received.size() == 3 * size;
  });
  EXPECT_TRUE(client.received == sent + sent + sent);
  EXPECT_TRUE(server.received == sent + sent + sent);
  EXPECT_EQ(client.count("connection_lost"), 0U);
  EXPECT_EQ(client.count("eof_received"), 0U);
}

// T18, T19: who asks for new keys again and again, and reads none of the answers, does not make the other side
// hold more and more of them: the connection ends.
TEST_P(TlsBadInput, AFloodOfKeyUpdatesEndsTheConnectionOfWhoReadsNothing) {
  Server listening = listen_tls();
  Tap tap(loop(), port_of(listening));
  const auto [client, server] = connect_tls(tap.port());
  settle_loop();
  tap.stop_reading_from_server();
  server.transport.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  while (server.transport.get_write_buffer_size() == 0) {
    server.transport.write(std::string(1 * MiB, 'x'));
    settle_loop();
  }
  std::size_t asked = 0;
  for (; !server.lost() && asked < 20'000; asked += 100) {
    for (int i = 0; i < 100; ++i) {
      SSL_key_update(ssl_of(client), SSL_KEY_UPDATE_REQUESTED);
      SSL_do_handshake(ssl_of(client));
    }
    client.transport.write("x");  // sends them, for nothing is queued
    run_until([&, &server = server] {
      return server.lost() || server.received.size() == asked / 100 + 1;
    });
  }
  ERR_clear_error();
  ASSERT_TRUE(server.lost());
  EXPECT_EQ(server.reason.message(),
            "the peer reads none of what it has TLS answer: No buffer space available");
  client.transport.abort();
  run_until([&client = client] { return client.lost(); });
}

// T19: one that reads them may ask as often as it likes.
TEST_P(TlsBadInput, AFloodOfKeyUpdatesIsAnswered) {
  const auto [client, server] = connected();
  for (int asked = 0; asked < 5000; ++asked) {
    SSL_key_update(ssl_of(client), SSL_KEY_UPDATE_REQUESTED);
    client.transport.write("x");
    if (asked % 50 == 0) iterate(1);
  }
  ERR_clear_error();
  run_until([&server = server] { return server.received.size() == 5000; });
  server.transport.write("still here");
  run_until([&client = client] { return client.received == "still here"; });
}

// T19: a server that wants to renegotiate again and again is refused each time, until TLS has enough of it;
// then both connections end, once.
TEST_P(TlsBadInput, AFloodOfRenegotiationsEnds) {
  const auto [client, server] = connected({.tls = client_of(TlsVersion::tls1_2)});
  SSL_clear_options(ssl_of(server), SSL_OP_NO_RENEGOTIATION);
  for (int i = 0; i < 100 && !server.lost() && !client.lost(); ++i) {
    SSL_renegotiate(ssl_of(server));
    SSL_do_handshake(ssl_of(server));
    server.transport.write("x");
    iterate(3);
  }
  run_until([&, &client = client, &server = server] { return client.lost() && server.lost(); });
  EXPECT_EQ(client.count("connection_lost"), 1U);
  EXPECT_EQ(server.count("connection_lost"), 1U);
  ASSERT_TRUE(server.reason);
  EXPECT_THROW(std::rethrow_exception(server.reason.exception()), TlsError);
}

/// Connections whose server gives out tickets that take many records, of which the client has got the first:
/// TLS cannot write until it has the rest. T19.
class TlsHalfAMessage : public TlsBadInput {
 protected:
  static TlsContext with_long_tickets() {
    TlsContext context = TlsContext::server({.identity = authority().server().identity(),
                                             .verification = PeerVerification::required,
                                             .trusted = {authority().trusted()}});
    SSL_CTX_set_max_send_fragment(static_cast<SSL_CTX*>(context.native_handle()), 512);
    return context;
  }
  void start() {
    server_ = listen_tls({.tls = with_long_tickets()});
    tap_.emplace(loop(), port_of(*server_));
    // The ticket is what the server sends once the client's second flight has come.
    tap_->change_to_server([this](std::string bytes) {
      client_done_ = client_done_ || !tap_->to_client().empty();
      return bytes;
    });
    tap_->change_to_client([this](std::string bytes) {
      if (!client_done_) return bytes;
      held_ += bytes;
      const std::size_t now =
          std::min(held_.size(), std::size_t{600} - std::min(std::size_t{600}, let_through_));
      let_through_ += now;
      std::string first = held_.substr(0, now);
      held_.erase(0, now);
      return first;
    });
    client_ = &new_client();
    run_until_done(start_client(
        *client_, tap_->port(),
        {.tls = TlsContext::client({.identity = authority().client(std::string(60, 'c')).identity(),
                                    .trusted = {authority().trusted()}})}));
    run_until([&] { return held_.size() > 500; });
    settle_loop();
    client_->transport.write("now?");
    ASSERT_EQ(client_->transport.get_write_buffer_size(), 4U);
  }
  /// What was held back, `spoilt` in its last byte or not.
  void release(bool spoilt) {
    if (spoilt) held_.back() = static_cast<char>(held_.back() ^ 1);
    tap_->change_to_client({});
    tap_->send_to_client(held_);
  }
  Recorder& client() { return *client_; }

 private:
  std::optional<Server> server_;
  std::optional<Tap> tap_;
  Recorder* client_ = nullptr;
  bool client_done_ = false;
  std::string held_;
  std::size_t let_through_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Behaviour, TlsHalfAMessage, ::testing::ValuesIn(every_world()),
                         world_name);

// T19: it writes once it has, even while reading is paused.
TEST_P(TlsHalfAMessage, WritesOnceItHasTheRest) {
  start();
  client().transport.pause_reading();
  release(false);
  run_until([&] { return accepted.back().received == "now?"; });
  client().transport.abort();
  run_until([&] { return client().lost(); });
}

// T15: it ends as ever if the rest is no good; nothing is served any more.
TEST_P(TlsHalfAMessage, EndsIfTheRestIsSpoilt) {
  start();
  release(true);
  run_until([&] { return client().lost(); });
  settle_loop();
  EXPECT_EQ(client().count("eof_received"), 0U);
  EXPECT_EQ(client().count("connection_lost"), 1U);
  ASSERT_TRUE(client().reason);
  EXPECT_THROW(std::rethrow_exception(client().reason.exception()), TlsError);
}

// T9: a peer that reads nothing at all while the connection is closed is given up, with all that was not
// sent; it finds its connection broken.
TEST_P(TlsSilence, APeerThatNeverReadsIsGivenUp) {
  for (const std::size_t unsent : {std::size_t{0}, 3 * MiB}) {
    const auto [client, server] = connected();
    server.transport.pause_reading();
    client.transport.set_write_buffer_limits({.high = std::size_t{1} << 30U});
    client.transport.write(std::string(unsent, 'x'));
    client.transport.close();
    run_until([&client = client] { return client.lost(); });
    EXPECT_EQ(client.reason.code(), std::errc::timed_out);
    EXPECT_EQ(client.count("eof_received"), 0U);
    server.transport.resume_reading();
    run_until([&server = server] { return server.lost(); });
    EXPECT_EQ(server.count("connection_lost"), 1U);
  }
}

}  // namespace weir::test
