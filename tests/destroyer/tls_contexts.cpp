#include "tls_contexts.h"

#include <stdexcept>

#ifdef WEIR_TEST_TLS
#include "certificates.h"
#include "tls_randomness.h"
#endif

namespace weir::destroyer {

#ifdef WEIR_TEST_TLS
namespace {

const test::TestCertificate& authority() {
  static const test::TestCertificate certificate = test::TestCertificate::authority();
  return certificate;
}

}  // namespace

bool has_tls() { return true; }

const TlsContext& client_tls() {
  static const TlsContext context =
      TlsContext::client({.trusted = {authority().trusted()}, .resume_sessions = false});
  return context;
}

const TlsContext& server_tls() {
  static const TlsContext context =
      TlsContext::server({.identity = authority().server().identity()});
  return context;
}

void restart_tls_randomness() {
  test::restart_randomness(1);
  client_tls();  // made now, if not before: that takes random numbers
  server_tls();
  test::restart_randomness(1);
}
#else
bool has_tls() { return false; }
const TlsContext& client_tls() { throw std::logic_error("no TLS in this build"); }
const TlsContext& server_tls() { return client_tls(); }
void restart_tls_randomness() {}
#endif

}  // namespace weir::destroyer
