#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <weir/tls.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "handshake.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

std::string identity_refusal(const Pem& chain, const std::optional<Pem>& key,
                             const std::string& password = "") {
  const std::string words = refusal<TlsError>([&] {
    TlsContext::server({.identity = TlsIdentity{chain, key, password}});
  });
  EXPECT_EQ(ERR_peek_error(), 0U) << "an error is left in the queue";
  return words;
}

// T28: certificates and keys come from files.
TEST(TlsPem, FilesWork) {
  const TemporaryFile chain(localhost().chain());
  const TemporaryFile key(localhost().key());
  const TemporaryFile both(localhost().key() + localhost().chain());
  const TemporaryFile trusted(authority().certificate());
  const TlsContext client = TlsContext::client({.trusted = {Pem::file(trusted.path())}});

  const TlsContext two_files =
      TlsContext::server({.identity = TlsIdentity{Pem::file(chain.path()), Pem::file(key.path())}});
  EXPECT_TRUE(Handshake(client, two_files, "localhost").is_done());

  const TlsContext one_file = TlsContext::server({.identity = TlsIdentity{Pem::file(both.path())}});
  EXPECT_TRUE(Handshake(client, one_file, "localhost").is_done());
}

// T28: the intermediates of the chain are sent, so the client needs the root alone.
TEST(TlsPem, ChainWithIntermediates) {
  const TestCertificate leaf = authority().intermediate("A").intermediate("B").server();
  EXPECT_TRUE(
      Handshake(client_context(), server_context({.identity = leaf.identity()}), "localhost")
          .is_done());
}

// T28: an encrypted key opens with its password.
TEST(TlsPem, EncryptedKey) {
  const TlsContext server = TlsContext::server(
      {.identity = TlsIdentity{Pem::text(localhost().chain()),
                               Pem::text(localhost().encrypted_key("secret")), "secret"}});
  EXPECT_TRUE(Handshake(client_context(), server, "localhost").is_done());
}

// C4: a file that cannot be read is named, with the reason of the system.
TEST(TlsPem, FileThatCannotBeRead) {
  const Pem key = Pem::text(localhost().key());
  try {
    TlsContext::server({.identity = TlsIdentity{Pem::file("/nowhere/server.pem"), key}});
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_STREQ(error.what(),
                 "TlsIdentity::certificate_chain: cannot read \"/nowhere/server.pem\": "
                 "No such file or directory");
  }
  EXPECT_EQ(refusal<std::system_error>([&] { TlsContext::client({.trusted = {Pem::file("/")}}); }),
            "TlsOptions::trusted: cannot read \"/\": Is a directory");
}

// C4: a chain without a certificate is refused; what it has instead is told.
TEST(TlsPem, ChainWithoutCertificate) {
  const TemporaryFile text("hello\n");
  const TemporaryFile key(localhost().key());
  EXPECT_EQ(
      identity_refusal(Pem::file(text.path()), Pem::text(localhost().key())),
      "TlsIdentity::certificate_chain: no certificate in \"" + text.path() + "\": no start line");
  EXPECT_EQ(identity_refusal(Pem::file(key.path()), std::nullopt),
            "TlsIdentity::certificate_chain: no certificate in \"" + key.path() +
                "\", only PRIVATE KEY: no start line");
  EXPECT_EQ(identity_refusal(Pem::text(""), Pem::text(localhost().key())),
            "TlsIdentity::certificate_chain: no certificate in the text: no start line");
}

// C4: a damaged certificate is told by its place.
TEST(TlsPem, DamagedCertificate) {
  std::string cut = localhost().chain();
  cut.resize(cut.size() / 2);
  EXPECT_EQ(identity_refusal(Pem::text(cut), Pem::text(localhost().key())),
            "TlsIdentity::certificate_chain: a damaged PEM block in the text: bad end line");
  const std::string garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(
      identity_refusal(Pem::text(localhost().chain() + garbage), Pem::text(localhost().key())),
      testing::StartsWith("TlsIdentity::certificate_chain: certificate 2 in the text "
                          "cannot be decoded: "));
}

// C4: an identity without a key is refused.
TEST(TlsPem, NoKey) {
  const TemporaryFile chain(localhost().chain());
  EXPECT_EQ(identity_refusal(Pem::file(chain.path()), std::nullopt),
            "TlsIdentity::private_key: no private key in \"" + chain.path() + "\": no start line");
  EXPECT_EQ(identity_refusal(Pem::file(chain.path()), Pem::text("none")),
            "TlsIdentity::private_key: no private key in the text: no start line");
}

// C4: a damaged key is told from one that is not there.
TEST(TlsPem, DamagedKey) {
  const std::string garbage = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
  EXPECT_THAT(identity_refusal(Pem::text(localhost().chain()), Pem::text(garbage)),
              testing::StartsWith(
                  "TlsIdentity::private_key: the private key in the text cannot be decoded: "));
}

// C4: the key must be that of the certificate.
TEST(TlsPem, KeyOfAnotherCertificate) {
  const TemporaryFile chain(localhost().chain());
  const TemporaryFile key(authority().key());
  EXPECT_EQ(identity_refusal(Pem::file(chain.path()), Pem::file(key.path())),
            "TlsIdentity::private_key: the key in \"" + key.path() +
                "\" is not that of the first certificate in \"" + chain.path() +
                "\": key values mismatch");
}

// C4: an encrypted key needs a password, and the right one.
TEST(TlsPem, PasswordOfKey) {
  const TemporaryFile key(localhost().encrypted_key("secret"));
  const Pem chain = Pem::text(localhost().chain());
  EXPECT_THAT(identity_refusal(chain, Pem::file(key.path())),
              testing::StartsWith("TlsIdentity::private_key: the private key in \"" + key.path() +
                                  "\" is encrypted, and no password is given: "));
  EXPECT_THAT(identity_refusal(chain, Pem::file(key.path()), "guess"),
              testing::StartsWith("TlsIdentity::private_key: the password is not that of the "
                                  "private key in \"" +
                                  key.path() + "\": "));
  EXPECT_THAT(identity_refusal(chain, Pem::file(key.path()), std::string(5000, 'x')),
              testing::HasSubstr("the password is not that of"));
}

// C4: what is trusted, and lists of what is revoked, are refused with their option's name.
TEST(TlsPem, TrustedAndRevocationLists) {
  EXPECT_EQ(
      refusal<TlsError>([] { TlsContext::client({.trusted = {Pem::text(localhost().key())}}); }),
      "TlsOptions::trusted: no certificate in the text, only PRIVATE KEY: no start line");
  EXPECT_EQ(
      refusal<TlsError>([] { client_context({.revocation_lists = {authority().trusted()}}); }),
      "TlsOptions::revocation_lists: no revocation list in the text, only CERTIFICATE: "
      "no start line");
}

// C4: a certificate that OpenSSL finds too weak is refused when the context is made.
TEST(TlsPem, WeakCertificate) {
  const TestCertificate weak = authority().issue({.is_weak = true});
  EXPECT_EQ(identity_refusal(Pem::text(weak.chain()), Pem::text(weak.key())),
            "TlsIdentity::certificate_chain: a certificate in the text cannot be used: "
            "ee key too small");
}

}  // namespace
}  // namespace weir::test
