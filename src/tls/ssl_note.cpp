#include "ssl_note.h"

#include <openssl/err.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

namespace weir::inline v0::detail {
namespace {

void free_note(void*, void* text, CRYPTO_EX_DATA*, int, long, void*) noexcept {
  delete static_cast<std::string*>(text);
}

int new_index() noexcept { return SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_note); }

int index_of(SslNote note) noexcept {
  static const int refused_certificate = new_index();
  static const int server_name = new_index();
  return note == SslNote::refused_certificate ? refused_certificate : server_name;
}

}  // namespace

const std::string* note_of(const SSL* ssl, SslNote note) noexcept {
  return static_cast<const std::string*>(SSL_get_ex_data(ssl, index_of(note)));
}

bool set_note(SSL* ssl, SslNote note, std::string text) noexcept {
  std::unique_ptr<std::string> kept(new (std::nothrow) std::string(std::move(text)));
  const std::string* const old = note_of(ssl, note);
  if (kept == nullptr || SSL_set_ex_data(ssl, index_of(note), kept.get()) != 1) {
    ERR_clear_error();
    return false;
  }
  static_cast<void>(kept.release());
  delete old;
  return true;
}

}  // namespace weir::inline v0::detail
