#include "tls_fuzz.h"

#include <array>

#include "certificates.h"
#include "tls_randomness.h"

namespace weir::fuzz {
namespace {

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
  test::restart_randomness(1);
  for (const TlsVersion version : {TlsVersion::tls1_2, TlsVersion::tls1_3}) {
    server_context(version);  // made now, if not before: that takes random numbers
    client_context(version);
  }
  test::restart_randomness(1);
}

}  // namespace weir::fuzz
