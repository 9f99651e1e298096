// What stands for this layer in a build by WEIR_TLS=OFF. No TlsContext can be made there, so nothing
// that needs one is ever called.

#include <weir/error.h>
#include <weir/tls_context.h>

#include <string>
#include <system_error>

#include "tls_upgrade.h"

namespace weir::inline v0 {
namespace {

[[noreturn]] void refuse() {
  throw UnsupportedOperationError("this Weir was built without TLS (WEIR_TLS=OFF)");
}

class NoCategory final : public std::error_category {
 public:
  explicit NoCategory(const char* name) noexcept : name_(name) {}
  const char* name() const noexcept override { return name_; }
  std::string message(int code) const override { return "error " + std::to_string(code); }

 private:
  const char* name_;
};

}  // namespace

TlsError::~TlsError() = default;
CertificateError::~CertificateError() = default;

const std::error_category& tls_category() noexcept {
  // Never destroyed: errors may be read after main() returned.
  static const auto* const category = new NoCategory("tls");
  return *category;
}

const std::error_category& certificate_category() noexcept {
  static const auto* const category = new NoCategory("certificate");
  return *category;
}

TlsContext TlsContext::client() { refuse(); }
TlsContext TlsContext::client(const TlsOptions&) { refuse(); }
TlsContext TlsContext::server(const TlsOptions&) { refuse(); }
bool TlsContext::is_server() const noexcept { return false; }
void* TlsContext::native_handle() const noexcept { return nullptr; }

namespace detail {

AnyProtocol tls_handshake(Loop&, const TlsPlan&, AnyProtocol, TransportReady) { refuse(); }

FutureState::CancelHook tls_handshake_over(Loop&, const TlsPlan&, StreamTransport&, AnyProtocol,
                                           TransportReady) {
  refuse();
}

void close_in_order(StreamTransport& transport) { transport.close(); }

}  // namespace detail
}  // namespace weir::inline v0
