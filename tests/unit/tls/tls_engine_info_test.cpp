// What TlsEngine::info() tells of a connection, and what its context makes of it. [T28, X4]

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <string>
#include <variant>

#include "tls_engine.h"
#include "tls_engine_fixture.h"

namespace weir::test {
namespace {

template <class T>
T info(const TlsEnd& end, const char* name) {
  const ExtraInfo found = end.engine.info(name);
  return std::holds_alternative<T>(found) ? std::get<T>(found) : T{};
}
bool is_unknown(const TlsEnd& end, const char* name) {
  return std::holds_alternative<std::monostate>(end.engine.info(name));
}

TEST(TlsEngineInfo, TellsWhatWasNegotiated) {
  TlsPair pair(client_context({.alpn = {"h2", "http/1.1"}}),
               server_context({.alpn = {"http/1.1"}}));
  EXPECT_TRUE(is_unknown(pair.client, "cipher"));
  EXPECT_TRUE(is_unknown(pair.client, "tls_version"));
  pair.handshake();
  for (const TlsEnd* const end : {&pair.client, &pair.server}) {
    EXPECT_EQ(info<std::string>(*end, "tls_version"), "TLSv1.3");
    EXPECT_EQ(info<std::string>(*end, "alpn"), "http/1.1");
    EXPECT_EQ(info<TlsCipher>(*end, "cipher").version, "TLSv1.3");
    EXPECT_GE(info<TlsCipher>(*end, "cipher").bits, 128);
    EXPECT_TRUE(is_unknown(*end, "compression"));
    EXPECT_TRUE(is_unknown(*end, "nonsense"));
    EXPECT_NE(info<NativeHandle>(*end, "ssl_object").pointer, nullptr);
    EXPECT_EQ(std::get<TlsContext>(end->engine.info("sslcontext")).is_server(),
              end == &pair.server);
    EXPECT_FALSE(info<bool>(*end, "session_reused"));
    EXPECT_FALSE(info<bool>(*end, "tls_clean_shutdown"));
  }
  pair.client.engine.shut_down();
  pair.settle();
  EXPECT_TRUE(info<bool>(pair.server, "tls_clean_shutdown"));
}

TEST(TlsEngineInfo, TellsWhoThePeerIs) {
  TlsPair pair(client_context({.identity = authority().client("someone").identity()}),
               server_context({.verification = PeerVerification::optional,
                               .trusted = {authority().trusted()}}));
  pair.handshake();
  EXPECT_EQ(info<PeerCertificate>(pair.client, "peercert").subject, "CN=localhost,O=Weir");
  EXPECT_EQ(info<PeerCertificate>(pair.server, "peercert").subject, "CN=someone,O=Weir");
}

TEST(TlsEngineInfo, AnOptionalCertificateMayBeMissing) {
  TlsPair pair(client_context(), server_context({.verification = PeerVerification::optional,
                                                 .trusted = {authority().trusted()}}));
  pair.handshake();
  EXPECT_TRUE(pair.server.engine.is_handshake_done());
  EXPECT_TRUE(is_unknown(pair.server, "peercert"));
}

// T28: SNI is sent for names, without the dot that ends one, and never for addresses.
TEST(TlsEngineInfo, TheNameThatIsSent) {
  const auto sent = [](const std::string& host) {
    TlsPair pair(client_context({.check_hostname = false}), server_context(), host);
    pair.handshake();
    const char* const name = SSL_get_servername(pair.server.ssl(), TLSEXT_NAMETYPE_host_name);
    return std::string(name != nullptr ? name : "nothing");
  };
  EXPECT_EQ(sent("www.example.org"), "www.example.org");
  EXPECT_EQ(sent("www.example.org."), "www.example.org");
  EXPECT_EQ(sent("127.0.0.1"), "nothing");
  EXPECT_EQ(sent("::1"), "nothing");
  EXPECT_EQ(sent("fe80::1%eth0"), "nothing");
  EXPECT_EQ(sent(""), "nothing");
}

TEST(TlsEngineInfo, ASessionIsResumedByTheSameContextAndHost) {
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    const TlsContext client = client_context({.maximum_version = version});
    const TlsContext server = server_context();
    const auto resumes = [&](const std::string& host) {
      TlsPair pair(client, server, host);
      pair.handshake();
      pair.client.engine.shut_down();
      pair.server.engine.shut_down();
      pair.settle();
      EXPECT_EQ(failure_of(pair.client.engine), "");
      EXPECT_EQ(info<bool>(pair.client, "session_reused"),
                info<bool>(pair.server, "session_reused"));
      EXPECT_EQ(info<PeerCertificate>(pair.client, "peercert").subject, "CN=localhost,O=Weir");
      return info<bool>(pair.client, "session_reused");
    };
    EXPECT_FALSE(resumes("localhost"));
    EXPECT_TRUE(resumes("localhost"));
    EXPECT_FALSE(resumes("127.0.0.1"));
    EXPECT_TRUE(resumes("127.0.0.1"));
  }
}

TEST(TlsEngineInfo, IsKeptAfterAFailure) {
  TlsPair pair(client_context(), server_context());
  pair.handshake();
  pair.client.take(std::vector<std::byte>(100, std::byte{0x17}));
  ASSERT_EQ(pair.client.status, Status::failed);
  EXPECT_EQ(info<std::string>(pair.client, "tls_version"), "TLSv1.3");
}

}  // namespace
}  // namespace weir::test
