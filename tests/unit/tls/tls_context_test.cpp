#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <weir/tls.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "handshake.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

std::string client_refusal(const TlsOptions& options) {
  return refusal<std::invalid_argument>([&] { TlsContext::client(options); });
}

/// Of a server that would do but for these options.
std::string server_refusal(TlsOptions options) {
  options.identity = localhost().identity();
  return refusal<std::invalid_argument>([&] { TlsContext::server(options); });
}

// C4: what a side has no use for is refused by its name.
TEST(TlsContext, OptionsOfTheOtherSide) {
  EXPECT_EQ(client_refusal({.verification = PeerVerification::optional}),
            "TlsOptions::verification: optional is for servers, a server always has a certificate");
  EXPECT_EQ(client_refusal({.server_names = {{"localhost", server_context()}}}),
            "TlsOptions::server_names: is for servers");
  EXPECT_EQ(server_refusal({.check_hostname = false}),
            "TlsOptions::check_hostname: is for clients, a server checks none");
  EXPECT_EQ(refusal<std::invalid_argument>([] { TlsContext::server({}); }),
            "TlsOptions::identity: a server must have one");
}

// C4: who is trusted matters to a context that verifies, and only to one.
TEST(TlsContext, TrustWithoutVerification) {
  EXPECT_EQ(server_refusal({.verification = PeerVerification::required}),
            "TlsOptions::trusted: a server that verifies clients must trust some issuer");
  EXPECT_EQ(server_refusal({.trusted = {authority().trusted()}}),
            "TlsOptions::trusted: is of no use without verification");
  EXPECT_EQ(
      client_refusal({.verification = PeerVerification::none, .trusted = {authority().trusted()}}),
      "TlsOptions::trusted: is of no use without verification");
  EXPECT_EQ(server_refusal({.revocation_lists = {Pem::text("")}}),
            "TlsOptions::revocation_lists: is of no use without verification");
}

// C4: no version is both over the minimum and under the maximum.
TEST(TlsContext, VersionsThatCross) {
  EXPECT_EQ(client_refusal(
                {.minimum_version = TlsVersion::tls1_3, .maximum_version = TlsVersion::tls1_2}),
            "TlsOptions::minimum_version: is over maximum_version");
}

// C4: OpenSSL would skip a name that it does not know.
TEST(TlsContext, UnknownCiphers) {
  EXPECT_EQ(client_refusal({.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:NOPE"}),
            "TlsOptions::ciphers: \"NOPE\" is no cipher of TLS 1.2 that OpenSSL knows");
  EXPECT_EQ(client_refusal({.ciphers = "HIGH::!aNULL"}),
            "TlsOptions::ciphers: \"\" is no cipher of TLS 1.2 that OpenSSL knows");
  EXPECT_EQ(client_refusal({.ciphers = "TLS_AES_128_GCM_SHA256"}),
            "TlsOptions::ciphers: \"TLS_AES_128_GCM_SHA256\" is of TLS 1.3: it belongs in "
            "cipher_suites");
  EXPECT_EQ(client_refusal({.ciphers = "HIGH:!HIGH"}),
            "TlsOptions::ciphers: \"HIGH:!HIGH\" leaves no cipher");
  EXPECT_EQ(client_refusal({.cipher_suites = "TLS_AES_128_GCM_SHA256:NOPE"}),
            "TlsOptions::cipher_suites: \"NOPE\" is no cipher suite of TLS 1.3 that OpenSSL knows");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

// C4: a name of ALPN has 1 to 255 bytes.
TEST(TlsContext, NamesOfAlpn) {
  EXPECT_EQ(client_refusal({.alpn = {"h2", ""}}),
            "TlsOptions::alpn: \"\" has 0 bytes; 1 to 255 are possible");
  const std::string name(256, 'x');
  EXPECT_EQ(server_refusal({.alpn = {name}}),
            "TlsOptions::alpn: \"" + name + "\" has 256 bytes; 1 to 255 are possible");
  EXPECT_EQ(client_refusal({.alpn = std::vector<std::string>(300, std::string(255, 'x'))}),
            "TlsOptions::alpn: more names than a handshake has room for");
}

// C4: names of servers are names, each there once, with a context that can serve it.
TEST(TlsContext, NamesOfServers) {
  const TlsContext server = server_context();
  const auto refused = [](std::vector<std::pair<std::string, TlsContext>> names) {
    return server_refusal({.server_names = std::move(names)});
  };
  for (const std::string name :
       {"", ".", "*", "*.", "a..b", "a.", ".a", "w*.example.org", "*.*.org",
        "b\xC3\xBC"
        "cher.example",
        "a b", "[::1]"}) {
    EXPECT_EQ(refused({{name, server}}),
              "TlsOptions::server_names: \"" + name +
                  "\" is neither a name as \"www.example.org\" nor one as \"*.example.org\"");
  }
  EXPECT_EQ(refused({{"A.example", server}, {"a.EXAMPLE", server}}),
            "TlsOptions::server_names: \"a.EXAMPLE\" is there twice");
  EXPECT_EQ(refused({{"a.example", client_context()}}),
            "TlsOptions::server_names: \"a.example\" has the context of a client");
  const TlsContext with_names = server_context({.server_names = {{"b.example", server}}});
  EXPECT_EQ(refused({{"a.example", with_names}}),
            "TlsOptions::server_names: \"a.example\" has a context that has server_names itself");
}

// T28: TLS 1.3 by default, 1.2 if one side ends there; versions are a property of the context.
TEST(TlsContext, Versions) {
  const TlsContext any = server_context();
  EXPECT_EQ(Handshake(client_context(), any, "localhost").version(), "TLSv1.3");
  const TlsContext client12 = client_context({.maximum_version = TlsVersion::tls1_2});
  EXPECT_EQ(Handshake(client12, any, "localhost").version(), "TLSv1.2");
  const TlsContext server13 = server_context({.minimum_version = TlsVersion::tls1_3});
  const Handshake none(client12, server13, "localhost");
  EXPECT_EQ(none.server_error(), "handshake: unsupported protocol");
  EXPECT_EQ(none.client_error(), "handshake: tlsv1 alert protocol version");
}

// C4: ciphers are a property of the context.
TEST(TlsContext, Ciphers) {
  const TlsContext server = server_context();
  EXPECT_EQ(Handshake(client_context({.cipher_suites = "TLS_CHACHA20_POLY1305_SHA256"}), server,
                      "localhost")
                .cipher(),
            "TLS_CHACHA20_POLY1305_SHA256");
  EXPECT_EQ(Handshake(client_context({.maximum_version = TlsVersion::tls1_2,
                                      .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"}),
                      server, "localhost")
                .cipher(),
            "ECDHE-ECDSA-AES128-GCM-SHA256");
}

// The ciphers of TLS 1.2 have forward secrecy and authenticate what they encrypt, unless told otherwise.
TEST(TlsContext, SafeCiphers) {
  const TlsContext context = server_context();
  const STACK_OF(SSL_CIPHER)* const ciphers =
      SSL_CTX_get_ciphers(static_cast<SSL_CTX*>(context.native_handle()));
  ASSERT_GT(sk_SSL_CIPHER_num(ciphers), 6);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* const cipher = sk_SSL_CIPHER_value(ciphers, i);
    EXPECT_EQ(SSL_CIPHER_is_aead(cipher), 1) << SSL_CIPHER_get_name(cipher);
    if (std::string(SSL_CIPHER_get_version(cipher)) == "TLSv1.3") continue;
    EXPECT_EQ(SSL_CIPHER_get_kx_nid(cipher), NID_kx_ecdhe) << SSL_CIPHER_get_name(cipher);
  }
}

// A client cannot renegotiate: that would let it make the server work, without end.
TEST(TlsContext, NoRenegotiation) {
  const Handshake pair(client_context({.maximum_version = TlsVersion::tls1_2}), server_context(),
                       "localhost");
  ASSERT_TRUE(pair.is_done());
  SSL* const client = pair.client();
  SSL* const server = pair.server();
  char byte = 0;
  EXPECT_EQ(SSL_renegotiate(client), 0) << "our own client does not even try";
  SSL_clear_options(client, SSL_OP_NO_RENEGOTIATION);
  EXPECT_EQ(SSL_renegotiate(client), 1);
  EXPECT_EQ(SSL_get_error(client, SSL_do_handshake(client)), SSL_ERROR_WANT_READ);
  EXPECT_EQ(SSL_get_error(server, SSL_read(server, &byte, 1)), SSL_ERROR_WANT_READ);
  ERR_clear_error();
  EXPECT_EQ(SSL_get_error(client, SSL_do_handshake(client)), SSL_ERROR_SSL);
  EXPECT_STREQ(ERR_reason_error_string(ERR_get_error()), "no renegotiation");
  ERR_clear_error();
}

// T28: copies are one context.
TEST(TlsContext, Copies) {
  const TlsContext one = server_context();
  const TlsContext copy = one;
  EXPECT_EQ(copy, one);
  EXPECT_EQ(copy.native_handle(), one.native_handle());
  EXPECT_NE(one, server_context());
  EXPECT_TRUE(one.is_server());
  EXPECT_FALSE(TlsContext::client().is_server());
}

}  // namespace
}  // namespace weir::test
