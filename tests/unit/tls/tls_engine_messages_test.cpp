// What passes between the TLS libraries of both ends besides data. [T19]

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "tls_engine.h"
#include "tls_engine_fixture.h"

namespace weir::test {
namespace {

struct TlsMessages : testing::Test {
  void start() {
    pair.handshake();
    ASSERT_TRUE(pair.client.engine.is_handshake_done());
    ASSERT_TRUE(pair.server.engine.is_handshake_done());
  }
  TlsPair pair{client_context(), server_context()};
};

TEST_F(TlsMessages, KeyUpdatesPassWithoutNotice) {
  start();
  const std::string text = long_text(40'000);
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    pair.cut = 1 + static_cast<std::size_t>(i) * 37;
    const int kind = i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
    ASSERT_EQ(SSL_key_update(pair.client.ssl(), kind), 1);
    EXPECT_EQ(pair.client.engine.write(as_bytes(text)), Status::ok);
    EXPECT_EQ(pair.server.engine.write(as_bytes(text)), Status::ok);
    pair.settle();
    expected += text;
    ASSERT_EQ(pair.server.received, expected);
    ASSERT_EQ(pair.client.received, expected);
  }
}

TEST_F(TlsMessages, AKeyUpdateThatIsAskedForIsAnsweredBeforeTheNextData) {
  start();
  ASSERT_EQ(SSL_key_update(pair.client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
  pair.client.engine.write(as_bytes("x"));
  pair.carry(pair.client, pair.server);
  EXPECT_EQ(pair.server.received, "x");
  pair.server.engine.write(as_bytes("y"));
  EXPECT_EQ(record_sizes(pair.server.output).size(), 2U);
  pair.settle();
  EXPECT_EQ(pair.client.received, "y");
}

// All but the last are answered while they are read: a reader's output grows with its input, but no faster.
TEST_F(TlsMessages, TheAnswersToAFloodOfKeyUpdatesAreNoLongerThanTheFlood) {
  start();
  for (int i = 0; i < 1000; ++i) {
    SSL_key_update(pair.client.ssl(), SSL_KEY_UPDATE_REQUESTED);
    ASSERT_EQ(SSL_do_handshake(pair.client.ssl()), 1);
  }
  const std::size_t flood = pair.client.output.size();
  pair.carry(pair.client, pair.server);
  EXPECT_EQ(pair.server.status, Status::wants_input);
  EXPECT_LE(pair.server.output.size(), flood);
  pair.server.engine.write(as_bytes("y"));
  pair.settle();
  EXPECT_EQ(pair.client.received, "y");
}

// S3: a flood of them is not worked off in one go.
TEST_F(TlsMessages, AFloodOfKeyUpdatesIsWorkedOffInParts) {
  start();
  for (int i = 0; i < 5000; ++i) {
    SSL_key_update(pair.client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
    ASSERT_EQ(SSL_do_handshake(pair.client.ssl()), 1);
  }
  pair.client.engine.write(as_bytes("data"));
  pair.server.input = pair.client.take_output();
  pair.server.engine.feed(pair.server.input);
  int goes = 0;
  while (!pair.server.engine.has_data()) {
    ASSERT_TRUE(pair.server.engine.has_pending());
    ++goes;
  }
  EXPECT_GE(goes, 3);
  std::vector<std::byte> buffer(10);
  EXPECT_EQ(pair.server.engine.read(buffer).count, 4U);
}

/// A server whose tickets take several records: they have the client's certificate, and its records are
/// the smallest there are.
struct TlsLongTickets : testing::Test {
  static TlsContext small_records() {
    TlsContext context = server_context(
        {.verification = PeerVerification::required, .trusted = {authority().trusted()}});
    EXPECT_EQ(SSL_CTX_set_max_send_fragment(static_cast<SSL_CTX*>(context.native_handle()), 512),
              1);
    return context;
  }
  static TlsContext certified_client() {
    return client_context({.identity = authority().client(std::string(60, 'c')).identity()});
  }

  /// The client's handshake is done, and it got the first of the records that make up a ticket.
  void start() {
    pair.client.go_on();
    pair.carry(pair.client, pair.server);
    pair.carry(pair.server, pair.client);
    pair.carry(pair.client, pair.server);
    ASSERT_TRUE(pair.client.engine.is_handshake_done()) << failure_of(pair.client.engine);
    ASSERT_TRUE(pair.server.engine.is_handshake_done()) << failure_of(pair.server.engine);
    rest = pair.server.take_output();
    ASSERT_GT(record_sizes(rest).size(), 2U);
    const auto first = static_cast<std::ptrdiff_t>(5 + record_sizes(rest).front());
    pair.client.take(ConstBytes(rest).first(static_cast<std::size_t>(first)));
    rest.erase(rest.begin(), rest.begin() + first);
  }

  TlsPair pair{certified_client(), small_records()};
  std::vector<std::byte> rest;
};

// The library can neither write nor end while it has the half of a message; that is no failure.
TEST_F(TlsLongTickets, AWriteWaitsForTheRestOfAMessage) {
  start();
  EXPECT_EQ(pair.client.engine.write(as_bytes("now?")), Status::wants_input);
  EXPECT_TRUE(pair.client.output.empty());
  pair.client.take(rest);
  EXPECT_EQ(pair.client.status, Status::wants_input);
  EXPECT_EQ(pair.client.engine.write(as_bytes("now.")), Status::ok);
  pair.settle();
  EXPECT_EQ(pair.server.received, "now.");
}

TEST_F(TlsLongTickets, CloseNotifyWaitsForTheRestOfAMessage) {
  start();
  pair.client.engine.shut_down();
  EXPECT_TRUE(pair.client.output.empty());
  pair.client.take(rest);
  EXPECT_EQ(failure_of(pair.client.engine), "");
  pair.settle();
  EXPECT_EQ(pair.server.status, Status::ended);
  EXPECT_EQ(failure_of(pair.server.engine), "");
}

TEST_F(TlsLongTickets, ByteByByteTheyPassWithoutNotice) {
  start();
  for (const std::byte& byte : rest) pair.client.take({&byte, 1});
  pair.server.engine.write(as_bytes("data"));
  pair.settle();
  EXPECT_EQ(pair.client.received, "data");
}

/// TLS 1.2, whose peer may ask for another handshake.
struct TlsRenegotiation : testing::Test {
  static void permit(const TlsContext& context) {
    SSL_CTX_clear_options(static_cast<SSL_CTX*>(context.native_handle()), SSL_OP_NO_RENEGOTIATION);
  }
  void start() {
    pair.handshake();
    ASSERT_TRUE(pair.client.engine.is_handshake_done());
    pair.server.engine.write(as_bytes("a"));
    pair.client.engine.write(as_bytes("b"));
  }
  TlsContext client{client_context({.maximum_version = TlsVersion::tls1_2})};
  TlsContext server{server_context()};
  TlsPair pair{client, server};
};

TEST_F(TlsRenegotiation, AServerRefusesItAndGoesOn) {
  permit(client);
  TlsPair eager(client, server);
  eager.handshake();
  ASSERT_EQ(SSL_renegotiate(eager.client.ssl()), 1);
  ASSERT_EQ(SSL_do_handshake(eager.client.ssl()), -1);
  eager.carry(eager.client, eager.server);
  EXPECT_EQ(eager.server.status, Status::wants_input);
  EXPECT_EQ(record_sizes(eager.server.output).size(), 1U);  // the warning no_renegotiation
  EXPECT_EQ(eager.server.engine.write(as_bytes("still here")), Status::ok);
  // OpenSSL's client gives up then.
  eager.carry(eager.server, eager.client);
  EXPECT_EQ(failure_of(eager.client.engine), "TLS failed: no renegotiation");
}

TEST_F(TlsRenegotiation, AClientRefusesItAndGoesOn) {
  permit(server);
  TlsPair eager(client, server);
  eager.handshake();
  ASSERT_EQ(SSL_renegotiate(eager.server.ssl()), 1);
  ASSERT_EQ(SSL_do_handshake(eager.server.ssl()), 1);
  eager.carry(eager.server, eager.client);
  EXPECT_EQ(eager.client.status, Status::wants_input);
  EXPECT_EQ(record_sizes(eager.client.output).size(), 1U);
  EXPECT_EQ(eager.client.engine.write(as_bytes("still here")), Status::ok);
}

}  // namespace
}  // namespace weir::test
