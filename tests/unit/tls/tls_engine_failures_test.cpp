#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tls_engine.h"
#include "tls_engine_fixture.h"

namespace weir::test {
namespace {

using testing::MatchesRegex;
using testing::UnitTest;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

// --- What is not TLS ---------------------------------------------------------------------------------

/// The failure of a server, or of a client, that gets `text` byte by byte.
std::string failure_of_server(std::string_view text) {
  TlsEnd server(server_context());
  for (const char& byte : text) server.take(as_bytes(std::string_view(&byte, 1)));
  return failure_of(server.engine);
}
std::string failure_of_client(std::string_view text) {
  TlsEnd client(client_context(), "localhost");
  client.go_on();
  for (const char& byte : text) client.take(as_bytes(std::string_view(&byte, 1)));
  return failure_of(client.engine);
}

TEST(TlsEngineFailures, APeerThatSpeaksHttpIsNamed) {
  for (const char* const request : {"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\r\n", "DELETE /y",
                                    "CONNECT a:443 HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"}) {
    EXPECT_TRUE(failure_of_server(request).starts_with("the peer speaks HTTP, not TLS: "))
        << request << ": " << failure_of_server(request);
  }
  EXPECT_EQ(failure_of_client("HTTP/1.1 400 Bad Request\r\n"),
            "the peer speaks HTTP, not TLS: wrong version number");
}

TEST(TlsEngineFailures, APeerThatDoesNotSpeakTlsIsQuoted) {
  EXPECT_EQ(failure_of_client("SSH-2.0-OpenSSH_9.2\r\n"),
            "the peer does not speak TLS, it began with \"SSH-2\": wrong version number");
  EXPECT_EQ(failure_of_server("220 \x01 mail\r\n"),
            "the peer does not speak TLS, it began with \"220 \\x01\": wrong version number");
}

TEST(TlsEngineFailures, GarbageThatBeginsLikeTlsFailsWithTheLibrarysWords) {
  EXPECT_EQ(failure_of_server(std::string("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9)),
            "TLS failed: unexpected message");
}

TEST(TlsEngineFailures, ARecordThatIsTooLongIsRefusedByItsHead) {
  EXPECT_EQ(failure_of_server("\x16\x03\x01\xff\xff"), "TLS failed: packet length too long");
  TlsPair pair(client_context(), server_context());
  pair.handshake();
  pair.server.take(as_bytes("\x17\x03\x03\xff\xff"));
  EXPECT_EQ(failure_of(pair.server.engine), "TLS failed: packet length too long");
  EXPECT_FALSE(pair.server.output.empty());  // the alert
}

TEST(TlsEngineFailures, AFloodOfEmptyRecordsIsRefused) {
  std::string flood;
  for (int i = 0; i < 100; ++i) flood += std::string("\x16\x03\x01\x00\x00", 5);
  EXPECT_EQ(failure_of_server(flood), "TLS failed: record too small");
}

// --- Bytes that were changed on the way ---------------------------------------------------------------

TEST(TlsEngineFailures, AChangedByteOfARecordFailsThatRecordAndKeepsWhatCameBefore) {
  TlsPair pair(client_context(), server_context());
  pair.handshake();
  pair.client.engine.write(as_bytes("good"));
  const std::size_t good = pair.client.output.size();
  pair.client.engine.write(as_bytes("bad"));
  pair.client.output[good + 8] ^= std::byte{1};
  pair.carry(pair.client, pair.server);
  EXPECT_EQ(pair.server.received, "good");
  EXPECT_EQ(pair.server.status, Status::failed);
  EXPECT_EQ(failure_of(pair.server.engine), "TLS failed: decryption failed or bad record mac");

  // The peer hears of it.
  pair.carry(pair.server, pair.client);
  EXPECT_EQ(failure_of(pair.client.engine),
            "the peer ended the TLS connection: sslv3 alert bad record mac");
}

TEST(TlsEngineFailures, EveryChangedByteOfTheFirstFlightIsAFailureOrIsHarmless) {
  TlsEnd client(client_context(), "localhost");
  client.go_on();
  const std::vector<std::byte> hello = client.take_output();
  for (std::size_t i = 0; i < hello.size(); i += 3) {
    std::vector<std::byte> changed = hello;
    changed[i] ^= std::byte{0xFF};
    TlsEnd server(server_context());
    server.take(changed);
    EXPECT_NE(server.status, Status::ok);
    EXPECT_NE(server.status, Status::ended);
  }
}

TEST(TlsEngineFailures, CloseNotifyInTheHandshakeIsAResetOfTheConnection) {
  TlsEnd client(client_context(), "localhost");
  client.go_on();
  client.take(bytes_of(std::string_view("\x15\x03\x03\x00\x02\x01\x00", 7)));
  EXPECT_EQ(failure_of(client.engine),
            "the peer ended the TLS handshake: Connection reset by peer");
}

// --- Certificates [T5, T28] ---------------------------------------------------------------------------

/// What a client says that expects `host` of a server with `certificate`.
std::string refusal_of_certificate(const TestCertificate& certificate, const std::string& host) {
  TlsPair pair(client_context(), server_context({.identity = certificate.identity()}), host);
  pair.handshake();
  EXPECT_EQ(pair.client.status == Status::failed, pair.server.status == Status::failed);
  return refusal_of(pair.client.engine);
}

TEST(TlsEngineFailures, ACertificateForAnotherHostIsRefusedWithBothNames) {
  const TestCertificate certificate = authority().server({"a.example", "b.example", "10.0.0.1"});
  EXPECT_EQ(refusal_of_certificate(certificate, "a.example"), "");
  EXPECT_EQ(refusal_of_certificate(certificate, "B.Example."), "");
  EXPECT_EQ(refusal_of_certificate(certificate, "10.0.0.1"), "");
  EXPECT_EQ(
      refusal_of_certificate(certificate, "c.example"),
      "cannot trust the peer to be c.example: certificate \"CN=a.example,O=Weir\" for "
      "DNS:a.example, "
      "DNS:b.example, IP Address:10.0.0.1, issued by \"CN=Weir Test Authority,O=Weir\": hostname "
      "mismatch");
  EXPECT_EQ(
      refusal_of_certificate(certificate, "10.0.0.2"),
      "cannot trust the peer to be 10.0.0.2: certificate \"CN=a.example,O=Weir\" for "
      "DNS:a.example, "
      "DNS:b.example, IP Address:10.0.0.1, issued by \"CN=Weir Test Authority,O=Weir\": IP address "
      "mismatch");
}

TEST(TlsEngineFailures, AnAddressIsCheckedAsOneInEveryForm) {
  EXPECT_EQ(refusal_of_certificate(localhost(), "::1"), "");
  EXPECT_EQ(refusal_of_certificate(localhost(), "0:0:0:0:0:0:0:1"), "");
  EXPECT_EQ(refusal_of_certificate(localhost(), "::1%lo"), "");
  EXPECT_NE(refusal_of_certificate(localhost(), "::2"), "");
}

TEST(TlsEngineFailures, ACertificateOutOfItsTimeIsNamedWithIt) {
  const TestCertificate expired = authority().issue({.common_name = "old",
                                                     .names = {"localhost"},
                                                     .not_before = -std::chrono::hours(2),
                                                     .not_after = -std::chrono::hours(1)});
  EXPECT_THAT(refusal_of_certificate(expired, "localhost"),
              MatchesRegex("cannot trust the peer to be localhost: certificate \"CN=old,O=Weir\" "
                           "valid until ....-..-.. ..:..:.. UTC, issued by \"CN=Weir Test "
                           "Authority,O=Weir\": certificate has expired"));
  const TestCertificate early = authority().issue({.common_name = "young",
                                                   .names = {"localhost"},
                                                   .not_before = std::chrono::hours(1),
                                                   .not_after = std::chrono::hours(2)});
  EXPECT_THAT(refusal_of_certificate(early, "localhost"),
              MatchesRegex("cannot trust the peer to be localhost: certificate \"CN=young,O=Weir\" "
                           "valid from ....-..-.. ..:..:.. UTC, issued by \"CN=Weir Test "
                           "Authority,O=Weir\": certificate is not yet valid"));
}

TEST(TlsEngineFailures, ACertificateOfAStrangersAuthorityIsNamed) {
  const TestCertificate stranger = TestCertificate::authority("Stranger").server();
  EXPECT_EQ(refusal_of_certificate(stranger, "localhost"),
            "cannot trust the peer to be localhost: certificate \"CN=localhost,O=Weir\", issued by "
            "\"CN=Stranger,O=Weir\": unable to get local issuer certificate");
}

TEST(TlsEngineFailures, ARefusedPeerHearsThatItsCertificateWasRefused) {
  TlsPair pair(
      client_context(),
      server_context({.identity = TestCertificate::authority("Stranger").server().identity()}));
  pair.handshake();
  EXPECT_EQ(failure_of(pair.server.engine),
            "the peer refused our certificate: tlsv1 alert unknown ca");
}

TEST(TlsEngineFailures, AnyNameWillDoIfTheOptionsSaySo) {
  TlsPair pair(client_context({.check_hostname = false}), server_context(), "other.example");
  pair.handshake();
  EXPECT_EQ(failure_of(pair.client.engine), "");
  EXPECT_TRUE(pair.server.engine.is_handshake_done());
}

TEST(TlsEngineFailures, WithoutAHostAnyNameWillDoButNotAnyIssuer) {
  TlsPair good(client_context(), server_context(), "");
  good.handshake();
  EXPECT_EQ(failure_of(good.client.engine), "");
  TlsPair bad(
      client_context(),
      server_context({.identity = TestCertificate::authority("Stranger").server().identity()}), "");
  bad.handshake();
  EXPECT_TRUE(refusal_of(bad.client.engine).starts_with("cannot trust the peer: certificate"));
}

TEST(TlsEngineFailures, AHostThatCanBeNoNameIsRefusedAtOnce) {
  const auto make = [](const std::string& host) {
    return refusal<TlsError>([&] { TlsEnd(client_context(), host); });
  };
  EXPECT_TRUE(
      make(std::string("good.example\0.evil.example", 26)).starts_with("server_hostname: "));
  EXPECT_TRUE(make(std::string(300, 'a')).starts_with("server_hostname: \"aaa"));
}

// --- Certificates of clients --------------------------------------------------------------------------

TlsContext strict_server() {
  return server_context(
      {.verification = PeerVerification::required, .trusted = {authority().trusted()}});
}

TEST(TlsEngineFailures, AClientWithoutACertificateIsTold) {
  TlsPair pair(client_context(), strict_server());
  pair.handshake();
  EXPECT_EQ(failure_of(pair.server.engine), "TLS failed: peer did not return a certificate");
  // With TLS 1.3 the client's handshake was done by then: it is read() that fails.
  EXPECT_TRUE(pair.client.handshake_done);
  EXPECT_EQ(failure_of(pair.client.engine),
            "the peer refused our certificate: tlsv13 alert certificate required");
}

TEST(TlsEngineFailures, AStrangersClientIsRefusedByTheServer) {
  TlsPair pair(
      client_context({.identity = TestCertificate::authority("Stranger").client().identity()}),
      strict_server());
  pair.handshake();
  EXPECT_EQ(refusal_of(pair.server.engine),
            "cannot trust the peer: certificate \"CN=client,O=Weir\", issued by "
            "\"CN=Stranger,O=Weir\": unable to get "
            "local issuer certificate");
  EXPECT_EQ(failure_of(pair.client.engine),
            "the peer refused our certificate: tlsv1 alert unknown ca");
}

// --- No common ground ----------------------------------------------------------------------------------

TEST(TlsEngineFailures, ThereIsNoCommonVersion) {
  TlsPair pair(client_context({.maximum_version = TlsVersion::tls1_2}),
               server_context({.minimum_version = TlsVersion::tls1_3}));
  pair.handshake();
  EXPECT_EQ(failure_of(pair.server.engine), "TLS failed: unsupported protocol");
  EXPECT_EQ(failure_of(pair.client.engine),
            "the peer ended the TLS connection: tlsv1 alert protocol version");
}

TEST(TlsEngineFailures, ThereIsNoCommonCipher) {
  TlsPair pair(client_context({.maximum_version = TlsVersion::tls1_2,
                               .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"}),
               server_context({.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305"}));
  pair.handshake();
  EXPECT_EQ(failure_of(pair.server.engine), "TLS failed: no shared cipher");
  EXPECT_EQ(failure_of(pair.client.engine),
            "the peer ended the TLS connection: sslv3 alert handshake failure");
}

TEST(TlsEngineFailures, ThereIsNoCommonProtocolOfTheApplication) {
  TlsPair pair(client_context({.alpn = {"h2"}}), server_context({.alpn = {"http/1.1"}}));
  pair.handshake();
  EXPECT_EQ(failure_of(pair.client.engine),
            "the peer ended the TLS connection: tlsv1 alert no application protocol");
}

}  // namespace
}  // namespace weir::test
