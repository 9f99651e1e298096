#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <weir/tls.h>

#include <string>

#include "handshake.h"
#include "session_cache.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

using detail::SessionCache;
using detail::SslSessionPtr;

class TlsResumption : public testing::TestWithParam<TlsVersion> {
 protected:
  TlsContext client(TlsOptions options = {}) {
    options.maximum_version = GetParam();
    return client_context(options);
  }
};

// T28: a client resumes its last session with the name, again and again.
TEST_P(TlsResumption, WithTheSameName) {
  const TlsContext one = client();
  const TlsContext server = server_context();
  EXPECT_FALSE(Handshake(one, server, "localhost").is_resumed());
  EXPECT_TRUE(Handshake(one, server, "localhost").is_resumed());
  EXPECT_TRUE(Handshake(one, server, "localhost").is_resumed());
  EXPECT_FALSE(Handshake(client(), server, "localhost").is_resumed()) << "another context";
}

// T28: a session is for its name only.
TEST_P(TlsResumption, WithAnotherName) {
  const TlsContext one = client();
  const TlsContext server =
      server_context({.identity = authority().server({"localhost", "other"}).identity()});
  EXPECT_FALSE(Handshake(one, server, "localhost").is_resumed());
  EXPECT_FALSE(Handshake(one, server, "other").is_resumed());
  EXPECT_FALSE(Handshake(one, server, "").is_resumed());
}

// T28: either side may do without resumption.
TEST_P(TlsResumption, SwitchedOff) {
  const TlsContext without = client({.resume_sessions = false});
  const TlsContext server = server_context();
  EXPECT_FALSE(Handshake(without, server, "localhost").is_resumed());
  EXPECT_FALSE(Handshake(without, server, "localhost").is_resumed());

  const TlsContext with = client();
  const TlsContext server_without = server_context({.resume_sessions = false});
  EXPECT_FALSE(Handshake(with, server_without, "localhost").is_resumed());
  EXPECT_FALSE(Handshake(with, server_without, "localhost").is_resumed());
}

// T28: a ticket of another server is no error: the handshake is a full one.
TEST_P(TlsResumption, WithAnotherServer) {
  const TlsContext one = client();
  EXPECT_TRUE(Handshake(one, server_context(), "localhost").is_done());
  const Handshake second(one, server_context(), "localhost");
  EXPECT_TRUE(second.is_done());
  EXPECT_FALSE(second.is_resumed());
}

// T28: a client that was verified is known again, and its certificate too.
TEST_P(TlsResumption, OfAVerifiedClient) {
  const TlsContext one = client({.identity = authority().client("alice").identity()});
  const TlsContext server = server_context(
      {.verification = PeerVerification::required, .trusted = {authority().trusted()}});
  EXPECT_TRUE(Handshake(one, server, "localhost").is_done());
  const Handshake second(one, server, "localhost");
  EXPECT_TRUE(second.is_resumed());
  EXPECT_NE(SSL_get0_peer_certificate(second.server()), nullptr);
}

// T28: sessions are those of the server's names as well.
TEST_P(TlsResumption, WithServerNames) {
  const TlsContext one = client();
  const TlsContext server = server_context(
      {.server_names = {
           {"a.example",
            server_context({.identity = authority().server({"a.example"}).identity()})}}});
  EXPECT_FALSE(Handshake(one, server, "a.example").is_resumed());
  const Handshake second(one, server, "a.example");
  EXPECT_TRUE(second.is_resumed());
  EXPECT_EQ(second.served_by(), "a.example");
}

std::string name_of(const testing::TestParamInfo<TlsVersion>& info) {
  return info.param == TlsVersion::tls1_2 ? "Tls12" : "Tls13";
}
INSTANTIATE_TEST_SUITE_P(Versions, TlsResumption,
                         testing::Values(TlsVersion::tls1_2, TlsVersion::tls1_3), name_of);

/// A session that looks resumable.
SslSessionPtr session(int version) {
  SslSessionPtr made(SSL_SESSION_new());
  const unsigned char id[] = {1};
  EXPECT_EQ(SSL_SESSION_set_protocol_version(made.get(), version), 1);
  EXPECT_EQ(SSL_SESSION_set1_id(made.get(), id, sizeof(id)), 1);
  return made;
}

// The newest session is taken; one of TLS 1.3 once, one of TLS 1.2 as often as wanted.
TEST(SessionCache, TakesTheNewest) {
  SessionCache cache;
  EXPECT_EQ(cache.take("a"), nullptr);
  SslSessionPtr older = session(TLS1_3_VERSION);
  SslSessionPtr newer = session(TLS1_3_VERSION);
  const SSL_SESSION* const first = older.get();
  const SSL_SESSION* const second = newer.get();
  cache.keep("a", std::move(older));
  cache.keep("a", std::move(newer));
  cache.keep("b", session(TLS1_2_VERSION));
  EXPECT_EQ(cache.take("a").get(), second);
  EXPECT_EQ(cache.take("a").get(), first);
  EXPECT_EQ(cache.take("a"), nullptr);
  EXPECT_NE(cache.take("b"), nullptr);
  EXPECT_EQ(cache.take("b"), cache.take("b"));
}

// What is kept is bounded: for a server, and for all of them.
TEST(SessionCache, DropsTheOldest) {
  SessionCache cache;
  for (std::size_t i = 0; i < 3 * SessionCache::max_sessions_of_a_server; ++i) {
    cache.keep("many", session(TLS1_3_VERSION));
  }
  std::size_t kept = 0;
  while (cache.take("many") != nullptr) ++kept;
  EXPECT_EQ(kept, SessionCache::max_sessions_of_a_server);

  for (std::size_t i = 0; i <= SessionCache::max_sessions; ++i) {
    cache.keep(std::to_string(i), session(TLS1_3_VERSION));
  }
  EXPECT_EQ(cache.take("0"), nullptr);
  EXPECT_NE(cache.take("1"), nullptr);
}

}  // namespace
}  // namespace weir::test
