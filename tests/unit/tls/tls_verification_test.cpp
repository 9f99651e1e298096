#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509_vfy.h>
#include <weir/tls.h>

#include <chrono>
#include <string>

#include "handshake.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

using std::chrono::hours;

/// What a client that trusts the authority says of this server.
Handshake with_server(const TestCertificate& server, TlsOptions client = {}) {
  return Handshake(client_context(std::move(client)),
                   server_context({.identity = server.identity()}), "localhost");
}

/// What a server that trusts the authority says of this client; none: it shows no certificate.
Handshake with_client(const TestCertificate* client, TlsOptions server) {
  server.trusted = {authority().trusted()};
  TlsOptions options;
  if (client != nullptr) options.identity = client->identity();
  return Handshake(client_context(options), server_context(server), "localhost");
}

// T5, T28: a certificate that is not for the host is refused; the words say whom it is for.
TEST(TlsVerification, WrongHost) {
  const Handshake pair = with_server(authority().server({"a.example", "127.0.0.1"}));
  EXPECT_EQ(pair.client_error(),
            "handshake: certificate \"CN=a.example,O=Weir\" for DNS:a.example, IP "
            "Address:127.0.0.1, issued by \"CN=Weir Test Authority,O=Weir\": hostname mismatch");
  EXPECT_EQ(pair.client_code(),
            std::error_code(X509_V_ERR_HOSTNAME_MISMATCH, certificate_category()));
  EXPECT_EQ(pair.server_error(), "handshake: sslv3 alert bad certificate");
}

// T28: the host is in the alternative names; the common name does not count.
TEST(TlsVerification, CommonNameIsNoHost) {
  const Handshake pair = with_server(authority().issue({.common_name = "localhost"}));
  EXPECT_THAT(pair.client_error(), testing::StartsWith("handshake: certificate \"CN=localhost,"
                                                       "O=Weir\" for no name, issued by "));
}

// T28: a wildcard is a whole label.
TEST(TlsVerification, Wildcards) {
  const auto works = [](const std::string& name, const std::string& host) {
    return Handshake(client_context(),
                     server_context({.identity = authority().server({name}).identity()}), host)
        .is_done();
  };
  EXPECT_TRUE(works("*.example.org", "www.example.org"));
  EXPECT_FALSE(works("*.example.org", "a.www.example.org"));
  EXPECT_FALSE(works("*.example.org", "example.org"));
  EXPECT_FALSE(works("w*.example.org", "www.example.org"));
}

// T28: an address is checked as one.
TEST(TlsVerification, Addresses) {
  const auto with = [](const char* address) {
    return Handshake(client_context(), server_context(), "", [=](SSL* ssl) {
      EXPECT_EQ(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address), 1);
    });
  };
  EXPECT_TRUE(with("127.0.0.1").is_done());
  EXPECT_TRUE(with("::1").is_done());
  EXPECT_THAT(with("127.0.0.2").client_error(), testing::EndsWith(": IP address mismatch"));
}

// T5: each reason is told in its words.
TEST(TlsVerification, Reasons) {
  const auto expired = authority().issue({.common_name = "old",
                                          .names = {"localhost"},
                                          .not_before = hours(-2),
                                          .not_after = hours(-1)});
  EXPECT_THAT(with_server(expired).client_error(),
              testing::MatchesRegex(
                  "handshake: certificate \"CN=old,O=Weir\" valid until [-0-9]+ [0-9:]+ UTC, "
                  "issued by \"CN=Weir Test Authority,O=Weir\": certificate has expired"));
  const auto early = authority().issue({.common_name = "early",
                                        .names = {"localhost"},
                                        .not_before = hours(1),
                                        .not_after = hours(2)});
  EXPECT_THAT(with_server(early).client_error(),
              testing::MatchesRegex(
                  "handshake: certificate \"CN=early,O=Weir\" valid from [-0-9]+ [0-9:]+ UTC, "
                  "issued by \"CN=Weir Test Authority,O=Weir\": certificate is not yet valid"));
  const TestCertificate own({.common_name = "own", .names = {"localhost"}});
  EXPECT_EQ(with_server(own).client_error(),
            "handshake: certificate \"CN=own,O=Weir\": self-signed certificate");
  const TestCertificate strange = TestCertificate::authority("Stranger").server();
  EXPECT_EQ(with_server(strange).client_error(),
            "handshake: certificate \"CN=localhost,O=Weir\", issued by \"CN=Stranger,O=Weir\": "
            "unable to get local issuer certificate");
  const TestCertificate not_for_servers =
      authority().issue({.names = {"localhost"}, .is_client = true});
  EXPECT_THAT(with_server(not_for_servers).client_error(),
              testing::EndsWith(": unsuitable certificate purpose"));
  const TestCertificate no_authority = localhost().server();
  EXPECT_THAT(with_server(no_authority).client_error(), testing::StartsWith("handshake: certif"));
}

// Certificates must keep to RFC 5280, as with asyncio's default context.
TEST(TlsVerification, Strict) {
  const TestCertificate sloppy =
      authority().issue({.names = {"localhost"}, .has_key_identifiers = false});
  EXPECT_THAT(with_server(sloppy).client_error(),
              testing::EndsWith(": Missing Authority Key Identifier"));
}

// T28: a certificate that is trusted need not be a root.
TEST(TlsVerification, TrustedIntermediate) {
  const TestCertificate intermediate = authority().intermediate();
  const TestCertificate server = intermediate.server();
  EXPECT_TRUE(with_server(server, {.trusted = {intermediate.trusted()}}).is_done());
  EXPECT_TRUE(with_server(server, {.trusted = {server.trusted()}}).is_done());
  const TestCertificate own({.names = {"localhost"}});
  EXPECT_TRUE(with_server(own, {.trusted = {own.trusted()}}).is_done()) << "signed by itself";
}

// T28: a client may take any certificate, or one for any host.
TEST(TlsVerification, NotVerifying) {
  const TestCertificate own({.common_name = "own"});
  const TlsContext server = server_context({.identity = own.identity()});
  EXPECT_TRUE(
      Handshake(TlsContext::client({.verification = PeerVerification::none}), server, "localhost")
          .is_done());
  EXPECT_TRUE(with_server(authority().server({"a.example"}), {.check_hostname = false}).is_done());
}

// The system's certificates are those that are trusted by default; ours are not among them.
TEST(TlsVerification, SystemTrust) {
  const Handshake pair(TlsContext::client(), server_context(), "localhost");
  EXPECT_EQ(pair.client_code(),
            std::error_code(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, certificate_category()));
}

// T28: with revocation lists a revoked certificate is refused.
TEST(TlsVerification, Revoked) {
  const TestCertificate revoked = authority().server();
  const Pem list = Pem::text(authority().revocation_list({revoked}));
  EXPECT_EQ(with_server(revoked, {.revocation_lists = {list}}).client_error(),
            "handshake: certificate \"CN=localhost,O=Weir\", issued by \"CN=Weir Test "
            "Authority,O=Weir\": certificate revoked");
  EXPECT_TRUE(with_server(localhost(), {.revocation_lists = {list}}).is_done());
}

// T28: with revocation lists an issuer without one vouches for nothing, an intermediate neither.
TEST(TlsVerification, ListOfEachIssuer) {
  const TestCertificate intermediate = authority().intermediate();
  const TestCertificate server = intermediate.server();
  const Pem of_root = Pem::text(authority().revocation_list());
  const Pem of_intermediate = Pem::text(intermediate.revocation_list());
  EXPECT_THAT(with_server(server, {.revocation_lists = {of_root}}).client_error(),
              testing::EndsWith(": unable to get certificate CRL"));
  EXPECT_TRUE(with_server(server, {.revocation_lists = {of_root, of_intermediate}}).is_done());
  const Pem revoked = Pem::text(authority().revocation_list({intermediate}));
  EXPECT_EQ(with_server(server, {.revocation_lists = {revoked, of_intermediate}}).client_error(),
            "handshake: certificate \"CN=Weir Test Intermediate,O=Weir\", issued by \"CN=Weir "
            "Test Authority,O=Weir\": certificate revoked");
}

// T28: a server that requires a client's certificate lets nobody in without one.
TEST(TlsVerification, ClientCertificateRequired) {
  const TlsOptions required{.verification = PeerVerification::required};
  const TestCertificate alice = authority().client("alice");
  const Handshake good = with_client(&alice, required);
  EXPECT_TRUE(good.is_done());
  EXPECT_EQ(SSL_get_verify_result(good.server()), X509_V_OK);
  EXPECT_NE(SSL_get0_peer_certificate(good.server()), nullptr);

  const Handshake without = with_client(nullptr, required);
  EXPECT_EQ(without.server_error(), "handshake: peer did not return a certificate");
  EXPECT_EQ(without.client_error(), "handshake: tlsv13 alert certificate required");

  const TestCertificate mallory = TestCertificate::authority("Stranger").client("mallory");
  const Handshake strange = with_client(&mallory, required);
  EXPECT_EQ(strange.server_error(),
            "handshake: certificate \"CN=mallory,O=Weir\", issued by \"CN=Stranger,O=Weir\": "
            "unable to get local issuer certificate");
  EXPECT_EQ(strange.client_error(), "handshake: tlsv1 alert unknown ca");
}

// T28: an optional client certificate may be missing, but not be bad; unasked-for it is not sent.
TEST(TlsVerification, ClientCertificateOptional) {
  const TlsOptions optional{.verification = PeerVerification::optional};
  const TestCertificate alice = authority().client("alice");
  const TestCertificate mallory = TestCertificate::authority("Stranger").client("mallory");
  EXPECT_TRUE(with_client(&alice, optional).is_done());
  EXPECT_TRUE(with_client(nullptr, optional).is_done());
  EXPECT_FALSE(with_client(&mallory, optional).is_done());

  const Handshake unasked(client_context({.identity = alice.identity()}), server_context(),
                          "localhost");
  EXPECT_TRUE(unasked.is_done());
  EXPECT_EQ(SSL_get0_peer_certificate(unasked.server()), nullptr);
}

// T28: a server revokes its clients too.
TEST(TlsVerification, RevokedClient) {
  const TestCertificate alice = authority().client("alice");
  const TlsOptions server{.verification = PeerVerification::required,
                          .revocation_lists = {Pem::text(authority().revocation_list({alice}))}};
  EXPECT_THAT(with_client(&alice, server).server_error(),
              testing::EndsWith(": certificate revoked"));
}

}  // namespace
}  // namespace weir::test
