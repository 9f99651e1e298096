#include "tls_context_core.h"

#include <memory>

namespace weir::inline v0 {
namespace detail {

TlsContextCore::TlsContextCore(const TlsOptions&, bool is_server)
    : native_(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method())),
      is_server_(is_server) {}
TlsContextCore::~TlsContextCore() = default;

TlsContext TlsContextCore::make_client(const TlsOptions& options) {
  return TlsContext(std::shared_ptr<const TlsContextCore>(new TlsContextCore(options, false)));
}
TlsContext TlsContextCore::make_server(const TlsOptions& options) {
  return TlsContext(std::shared_ptr<const TlsContextCore>(new TlsContextCore(options, true)));
}

bool TlsContextCore::resume(SSL*, const std::string&) const { return true; }

}  // namespace detail

TlsContext TlsContext::client(TlsOptions options) {
  return detail::TlsContextCore::make_client(options);
}
TlsContext TlsContext::server(TlsOptions options) {
  return detail::TlsContextCore::make_server(options);
}
bool TlsContext::is_server() const noexcept { return core_->is_server(); }
void* TlsContext::native_handle() const noexcept { return core_->native(); }

}  // namespace weir::inline v0
