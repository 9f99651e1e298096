#include "tls_bio.h"

#include <openssl/bio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "tls_errors.h"

namespace weir::inline v0::detail {
namespace {

TlsWire& wire_of(BIO* bio) noexcept { return *static_cast<TlsWire*>(BIO_get_data(bio)); }

int read_from_wire(BIO* bio, char* data, std::size_t size, std::size_t* count) noexcept {
  auto& [input, budget, output] = wire_of(bio);
  *count = std::min({size, input.size(), budget});
  if (*count == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  BIO_clear_retry_flags(bio);
  std::memcpy(data, input.data(), *count);
  input = input.subspan(*count);
  budget -= *count;
  return 1;
}

int write_to_wire(BIO* bio, const char* data, std::size_t size, std::size_t* count) noexcept {
  const auto* const bytes = reinterpret_cast<const std::byte*>(data);
  auto& output = wire_of(bio).output;
  output.insert(output.end(), bytes, bytes + size);
  *count = size;
  return 1;
}

/// Flushing is all that an SSL object insists on.
long control_wire(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* make_method() noexcept {
  BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
  if (method == nullptr) return nullptr;
  const bool set = BIO_meth_set_read_ex(method, &read_from_wire) == 1 &&
                   BIO_meth_set_write_ex(method, &write_to_wire) == 1 &&
                   BIO_meth_set_ctrl(method, &control_wire) == 1;
  if (set) return method;
  BIO_meth_free(method);
  return nullptr;
}

}  // namespace

BioPtr make_tls_bio(TlsWire& wire) {
  // Never destroyed: an SSL object may be until main() has returned.
  static const BIO_METHOD* const method = make_method();
  BioPtr bio(method != nullptr ? BIO_new(method) : nullptr);
  if (bio == nullptr) throw tls_error("cannot make a TLS connection");
  BIO_set_data(bio.get(), &wire);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace weir::inline v0::detail
