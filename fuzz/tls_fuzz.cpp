// RAND_METHOD is the one way to take OpenSSL's randomness from it, and deprecated.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls_fuzz.h"

#include <openssl/rand.h>

#include <array>
#include <cstdint>

#include "certificates.h"

namespace weir::fuzz {
namespace {

std::uint64_t state = 1;

int numbers(unsigned char* bytes, int count) {
  for (int i = 0; i < count; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    bytes[i] = static_cast<unsigned char>(state >> 56);
  }
  return 1;
}
int always() { return 1; }

const RAND_METHOD method{.seed = nullptr,
                         .bytes = &numbers,
                         .cleanup = nullptr,
                         .add = nullptr,
                         .pseudorand = &numbers,
                         .status = &always};

std::array<TlsContext, 2> make_contexts(bool of_server) {
  static const test::TestCertificate authority = test::TestCertificate::authority();
  const auto make = [&](TlsVersion version) {
    const test::TestCertificate certificate = of_server ? authority.server() : authority.client();
    const TlsOptions options{.identity = certificate.identity(),
                             .verification = PeerVerification::required,
                             .trusted = {authority.trusted()},
                             .alpn = {"a", "b"},
                             .minimum_version = version,
                             .maximum_version = version,
                             .resume_sessions = of_server};  // tickets, but nobody keeps them
    return of_server ? TlsContext::server(options) : TlsContext::client(options);
  };
  return {make(TlsVersion::tls1_2), make(TlsVersion::tls1_3)};
}

}  // namespace

const TlsContext& server_context(TlsVersion version) {
  static const std::array contexts = make_contexts(true);
  return contexts[version == TlsVersion::tls1_2 ? 0 : 1];
}

const TlsContext& client_context(TlsVersion version) {
  static const std::array contexts = make_contexts(false);
  return contexts[version == TlsVersion::tls1_2 ? 0 : 1];
}

void restart_randomness() {
  RAND_set_rand_method(&method);
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    server_context(version);  // made now, if not before: that takes random numbers
    client_context(version);
  }
  state = 1;
}

}  // namespace weir::fuzz
