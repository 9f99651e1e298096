#include "certificate_info.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <weir/tls_info.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "handshake.h"
#include "openssl_handles.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

using detail::certificate_info;

PeerCertificate info_of(const TestCertificate& certificate) {
  const std::string pem = certificate.certificate();
  const detail::BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const detail::CertificatePtr read(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  return certificate_info(read.get());
}

// X4: a certificate is told in full.
TEST(CertificateInfo, TellsAll) {
  using namespace std::chrono;
  const TestCertificate certificate =
      authority().issue({.common_name = "B\xC3\xBC"
                                        "cher, GmbH",
                         .names = {"example.org", "*.example.org", "127.0.0.1", "2001:db8::1"},
                         .not_before = hours(-48),
                         .not_after = hours(48)});
  const PeerCertificate info = info_of(certificate);
  EXPECT_EQ(info.subject,
            "CN=B\xC3\xBC"
            "cher\\, GmbH,O=Weir");
  EXPECT_EQ(info.issuer, "CN=Weir Test Authority,O=Weir");
  EXPECT_EQ(info.serial_number, certificate.serial_number());
  EXPECT_EQ(info.not_after - info.not_before, hours(96));
  EXPECT_LT(info.not_before, system_clock::now());
  EXPECT_GT(info.not_after, system_clock::now());
  using Name = PeerCertificate::AlternativeName;
  EXPECT_EQ(info.subject_alternative_names,
            (std::vector<Name>{{"DNS", "example.org"},
                               {"DNS", "*.example.org"},
                               {"IP Address", "127.0.0.1"},
                               {"IP Address", "2001:DB8:0:0:0:0:0:1"}}));
  const std::string der = certificate.der();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(info.der.data()), info.der.size()), der);
}

// X4: a certificate without names is told too, and leaves no error behind.
TEST(CertificateInfo, WithoutNames) {
  const PeerCertificate info = info_of(authority());
  EXPECT_EQ(info.subject, info.issuer);
  EXPECT_TRUE(info.subject_alternative_names.empty());
  EXPECT_EQ(ERR_peek_error(), 0U);
}

// X4: a certificate that says nothing right is told as far as it goes, and leaves no error behind.
TEST(CertificateInfo, Strange) {
  const detail::CertificatePtr strange(X509_new());
  const unsigned char garbage[] = {0x30, 0x7F};
  const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> bytes(
      ASN1_OCTET_STRING_new(), &ASN1_OCTET_STRING_free);
  ASSERT_EQ(ASN1_OCTET_STRING_set(bytes.get(), garbage, sizeof(garbage)), 1);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> names(
      X509_EXTENSION_create_by_NID(nullptr, NID_subject_alt_name, 0, bytes.get()),
      &X509_EXTENSION_free);
  ASSERT_EQ(X509_add_ext(strange.get(), names.get(), -1), 1);
  PeerCertificate nothing;
  nothing.serial_number = "0";
  EXPECT_EQ(certificate_info(strange.get()), nothing);
  EXPECT_EQ(ERR_peek_error(), 0U);
}

// X4: the cipher is told after the handshake.
TEST(CertificateInfo, Cipher) {
  const TlsContext client = client_context({.cipher_suites = "TLS_AES_128_GCM_SHA256"});
  const detail::SslPtr new_one(SSL_new(detail::TlsContextCore::of(client).native()));
  EXPECT_EQ(detail::cipher_info(new_one.get()), std::nullopt);
  const Handshake pair(client, server_context(), "localhost");
  EXPECT_EQ(detail::cipher_info(pair.client()),
            (TlsCipher{.name = "TLS_AES_128_GCM_SHA256", .version = "TLSv1.3", .bits = 128}));
}

}  // namespace
}  // namespace weir::test
