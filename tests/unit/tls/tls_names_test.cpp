#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <weir/tls.h>

#include <string>
#include <utility>
#include <vector>

#include "handshake.h"
#include "server_names.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

using detail::name_in_extension;

/// A client for tests of who answers: it takes any name.
TlsContext any_name(TlsOptions options = {}) {
  options.check_hostname = false;
  return client_context(std::move(options));
}

TlsContext server_named(const std::string& name, TlsOptions options = {}) {
  options.identity = authority().server({name}).identity();
  return TlsContext::server(options);
}

// T28: the server's context is that of the name that the client asks for, in any case.
TEST(TlsNames, ContextByName) {
  const TlsContext server =
      server_context({.server_names = {{"A.example.org", server_named("a")},
                                       {"*.example.org", server_named("wildcard")},
                                       {"b.c.example.org", server_named("deep")}}});
  const auto served = [&](const std::string& name) {
    return Handshake(any_name(), server, name).served_by();
  };
  EXPECT_EQ(served("a.example.org"), "a");
  EXPECT_EQ(served("A.EXAMPLE.org"), "a");
  EXPECT_EQ(served("x.Example.Org"), "wildcard");
  EXPECT_EQ(served("b.c.example.org"), "deep");
  EXPECT_EQ(served("x.c.example.org"), "localhost") << "a wildcard is for one label";
  EXPECT_EQ(served("example.org"), "localhost");
  EXPECT_EQ(served("other"), "localhost");
  EXPECT_EQ(served(""), "localhost");
}

// T28: of a name's context everything holds, in both versions of TLS.
TEST(TlsNames, AllOfTheContextHolds) {
  const TestCertificate alice = authority().client("alice");
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    const TlsContext server = server_context(
        {.alpn = {"default"},
         .server_names = {
             {"strict.example",
              server_named("strict.example",
                           {.verification = PeerVerification::required,
                            .trusted = {authority().trusted()},
                            .revocation_lists = {Pem::text(authority().revocation_list({alice}))},
                            .alpn = {"strict"}})}}});
    const TlsOptions options{.alpn = {"default", "strict"}, .maximum_version = version};
    const Handshake to_default(any_name(options), server, "localhost");
    EXPECT_TRUE(to_default.is_done());
    EXPECT_EQ(to_default.alpn(), "default");

    EXPECT_EQ(Handshake(any_name(options), server, "strict.example").server_error(),
              "handshake: peer did not return a certificate");
    TlsOptions with_revoked = options;
    with_revoked.identity = alice.identity();
    EXPECT_EQ(Handshake(any_name(with_revoked), server, "strict.example").server_error(),
              "handshake: certificate \"CN=alice,O=Weir\", issued by \"CN=Weir Test "
              "Authority,O=Weir\": certificate revoked");
    TlsOptions with_good = options;
    with_good.identity = authority().client("bob").identity();
    const Handshake strict(any_name(with_good), server, "strict.example");
    EXPECT_TRUE(strict.is_done());
    EXPECT_EQ(strict.alpn(), "strict");
  }
}

// T28: what the default context asks for, that of a name need not.
TEST(TlsNames, NothingOfTheDefaultHolds) {
  const TlsContext server = server_context(
      {.verification = PeerVerification::required,
       .trusted = {authority().trusted()},
       .revocation_lists = {Pem::text(authority().revocation_list())},
       .alpn = {"default"},
       .minimum_version = TlsVersion::tls1_3,
       .server_names = {{"open.example", server_named("open.example")},
                        {"lists.example",
                         server_named("lists.example", {.verification = PeerVerification::required,
                                                        .trusted = {authority().trusted()}})}}});
  const Handshake open(any_name({.alpn = {"h2"}, .maximum_version = TlsVersion::tls1_2}), server,
                       "open.example");
  EXPECT_TRUE(open.is_done()) << open.server_error();
  EXPECT_EQ(open.alpn(), "");
  EXPECT_EQ(open.version(), "TLSv1.2");

  // This one's chain has no list for its intermediate, and the name's context asks for none.
  const TestCertificate client = authority().intermediate().client();
  const Handshake lists(any_name({.identity = client.identity()}), server, "lists.example");
  EXPECT_TRUE(lists.is_done()) << lists.server_error();
}

// T28: the version of a name's context holds.
TEST(TlsNames, VersionOfTheContext) {
  const TlsContext server = server_context(
      {.server_names = {
           {"old.example", server_named("old.example", {.maximum_version = TlsVersion::tls1_2})},
           {"new.example", server_named("new.example", {.minimum_version = TlsVersion::tls1_3})}}});
  EXPECT_EQ(Handshake(any_name(), server, "old.example").version(), "TLSv1.2");
  EXPECT_EQ(Handshake(any_name({.maximum_version = TlsVersion::tls1_2}), server, "new.example")
                .server_error(),
            "handshake: unsupported protocol");
}

// A session of one name is not resumed under another: who was let in there is not let in here.
TEST(TlsNames, SessionsOfOneNameOnly) {
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    const TlsContext server =
        server_context({.server_names = {{"strict.example",
                                          server_named("strict.example",
                                                       {.verification = PeerVerification::required,
                                                        .trusted = {authority().trusted()}})}}});
    const TlsContext client = any_name({.maximum_version = version});
    detail::SslSessionPtr session;
    {
      const Handshake open(client, server, "localhost");
      ASSERT_TRUE(open.is_done());
      session.reset(SSL_get1_session(open.client()));
    }
    const auto resume = [&](SSL* ssl) { EXPECT_EQ(SSL_set_session(ssl, session.get()), 1); };
    EXPECT_TRUE(Handshake(client, server, "", resume).is_resumed());
    const Handshake strict(client, server, "strict.example", resume);
    EXPECT_FALSE(strict.is_resumed());
    EXPECT_EQ(strict.server_error(), "handshake: peer did not return a certificate");
  }
}

// T28: whether tickets are given out is said by the context of the name.
TEST(TlsNames, TicketsOfTheContext) {
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    const auto is_resumed = [&](bool by_default, bool by_name) {
      const TlsContext server = server_context(
          {.server_names = {{"a.example", server_named("a.example", {.resume_sessions = by_name})}},
           .resume_sessions = by_default});
      const TlsContext client = any_name({.maximum_version = version});
      EXPECT_TRUE(Handshake(client, server, "a.example").is_done());
      return Handshake(client, server, "a.example").is_resumed();
    };
    EXPECT_TRUE(is_resumed(true, true));
    EXPECT_FALSE(is_resumed(true, false));
    EXPECT_TRUE(is_resumed(false, true));
  }
}

// T28: of the protocols of both, the one that the server prefers is chosen.
TEST(TlsNames, AlpnByTheServersPreference) {
  const TlsContext server = server_context({.alpn = {"h2", "http/1.1"}});
  const auto chosen = [&](std::vector<std::string> offered) {
    const Handshake pair(client_context({.alpn = std::move(offered)}), server, "localhost");
    EXPECT_TRUE(pair.is_done()) << pair.client_error();
    return pair.alpn();
  };
  EXPECT_EQ(chosen({"http/1.1", "h2"}), "h2");
  EXPECT_EQ(chosen({"spdy", "http/1.1"}), "http/1.1");
  EXPECT_EQ(chosen({}), "");
}

// T28: without a common protocol there is no connection, as RFC 7301 has it; a server without any
// does not care.
TEST(TlsNames, NoCommonProtocol) {
  const TlsContext client = client_context({.alpn = {"h2"}});
  const Handshake pair(client, server_context({.alpn = {"http/1.1"}}), "localhost");
  EXPECT_EQ(pair.server_error(), "handshake: no application protocol");
  EXPECT_EQ(pair.client_error(), "handshake: tlsv1 alert no application protocol");
  const Handshake indifferent(client, server_context(), "localhost");
  EXPECT_TRUE(indifferent.is_done());
  EXPECT_EQ(indifferent.alpn(), "");
}

// What a client sends as its extension is looked at only as far as it goes.
TEST(TlsNames, ExtensionOfAnyBytes) {
  const std::vector<unsigned char> whole{0, 5, 0, 0, 2, 'a', 'b'};
  EXPECT_EQ(name_in_extension(whole), "ab");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(name_in_extension({whole.data(), size}), std::nullopt) << size;
  }
  EXPECT_EQ(name_in_extension(std::vector<unsigned char>{0, 5, 1, 0, 2, 'a', 'b'}), std::nullopt);
  EXPECT_EQ(name_in_extension(std::vector<unsigned char>{0, 5, 0, 255, 255, 'a'}), std::nullopt);
  EXPECT_EQ(name_in_extension(std::vector<unsigned char>{0, 3, 0, 0, 0}), "");
}

}  // namespace
}  // namespace weir::test
