#include "tls_pem.h"

#include <weir/tls_context.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "fd.h"
#include "file.h"
#include "openssl_handles.h"
#include "result.h"
#include "tls_errors.h"

namespace weir::inline v0::detail {
namespace {

std::string contents_of(const std::string& path, std::string_view field) {
  const auto check = [&](std::error_code error) {
    if (error) throw std::system_error(error, std::string(field) + ": cannot read \"" + path + '"');
  };
  Result<Fd> file = open_for_reading(path);
  check(file.error());
  std::string contents;
  contents.reserve(std::size_t{64} * 1024);  // growing leaves copies of a key behind
  std::array<std::byte, 16384> part{};
  for (;;) {
    Result<std::size_t> count = read_file(file.value().get(), std::nullopt, part);
    check(count.error());
    if (count.value() == 0) return contents;
    contents.append(reinterpret_cast<const char*>(part.data()), count.value());
    OPENSSL_cleanse(part.data(), count.value());
  }
}

/// One "-----BEGIN label-----" of a PEM text, decoded.
struct Block {
  std::string label;
  std::vector<unsigned char> der;

  Block(const char* name, std::span<const unsigned char> data)
      : label(name), der(data.begin(), data.end()) {}
  Block(Block&&) = default;
  Block& operator=(Block&&) = delete;
  ~Block() { OPENSSL_cleanse(der.data(), der.size()); }
};

/// The text of a Pem, and OpenSSL's way to read it.
class Source {
 public:
  Source(const Pem& pem, std::string_view field)
      : field_(field),
        place_(place_of(pem)),
        text_(pem.is_file() ? contents_of(pem.value(), field) : pem.value()) {
    ERR_clear_error();  // so that the first error is of this reading
    if (text_.size() > std::size_t{std::numeric_limits<int>::max()}) fail("too large: " + place_);
    bio_.reset(BIO_new_mem_buf(text_.data(), static_cast<int>(text_.size())));
    if (bio_ == nullptr) throw std::bad_alloc();
  }

  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() { OPENSSL_cleanse(text_.data(), text_.size()); }

  BIO* bio() const noexcept { return bio_.get(); }
  const std::string& place() const noexcept { return place_; }

  bool has(std::string_view text) const noexcept { return text_.find(text) != std::string::npos; }

  /// `what` is wrong, and OpenSSL's queue has the reason.
  [[noreturn]] void fail(const std::string& what) const { throw tls_error(field_ + ": " + what); }

  /// The next block; none at the end.
  std::optional<Block> next() const {
    char* label = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    if (PEM_read_bio(bio_.get(), &label, &header, &data, &size) != 1) {
      const unsigned long error = ERR_peek_last_error();
      if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
        return std::nullopt;
      }
      fail("a damaged PEM block in " + place_);
    }
    Block block(label, {data, static_cast<std::size_t>(size)});
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
    return block;
  }

 private:
  std::string field_;
  std::string place_;
  std::string text_;
  BioPtr bio_;
};

/// Every block whose label is in `labels`, decoded by `decode`; `what` is their name in words.
template <class Pointer, class Decode>
std::vector<Pointer> load_all(const Pem& pem, std::string_view field, const std::string& what,
                              std::span<const std::string_view> labels, Decode decode) {
  const Source source(pem, field);
  std::vector<Pointer> found;
  std::string others;
  while (const std::optional<Block> block = source.next()) {
    if (std::ranges::find(labels, block->label) == labels.end()) {
      others.append(others.empty() ? ", only " : ", ").append(block->label);
      continue;
    }
    const unsigned char* data = block->der.data();
    Pointer object(decode(nullptr, &data, static_cast<long>(block->der.size())));
    if (object == nullptr) {
      source.fail(what + ' ' + std::to_string(found.size() + 1) + " in " + source.place() +
                  " cannot be decoded");
    }
    found.push_back(std::move(object));
  }
  if (found.empty()) source.fail("no " + what + " in " + source.place() + others);
  ERR_clear_error();  // of the end
  return found;
}

struct Password {
  const std::string& text;
  bool asked = false;
};

/// A pem_password_cb.
int give_password(char* buffer, int size, int, void* password) noexcept {
  auto& given = *static_cast<Password*>(password);
  given.asked = true;
  const std::string& text = given.text;
  if (text.empty() || size < 0 || text.size() > static_cast<std::size_t>(size)) return -1;
  text.copy(buffer, text.size());
  return static_cast<int>(text.size());
}

}  // namespace

std::string place_of(const Pem& pem) {
  return pem.is_file() ? '"' + pem.value() + '"' : "the text";
}

std::vector<CertificatePtr> load_certificates(const Pem& pem, std::string_view field) {
  static constexpr std::array<std::string_view, 3> labels{PEM_STRING_X509, PEM_STRING_X509_OLD,
                                                          PEM_STRING_X509_TRUSTED};
  // Reads a plain certificate too.
  return load_all<CertificatePtr>(pem, field, "certificate", labels, &d2i_X509_AUX);
}

std::vector<RevocationListPtr> load_revocation_lists(const Pem& pem, std::string_view field) {
  static constexpr std::array<std::string_view, 1> labels{PEM_STRING_X509_CRL};
  return load_all<RevocationListPtr>(pem, field, "revocation list", labels, &d2i_X509_CRL);
}

KeyPtr load_private_key(const Pem& pem, std::string_view field, const std::string& password) {
  const Source source(pem, field);
  // PEM_read_bio_PrivateKey() says "unsupported" if there is none.
  if (!source.has("PRIVATE KEY-----")) {
    ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
    source.fail("no private key in " + source.place());
  }
  Password given{password};
  KeyPtr key(PEM_read_bio_PrivateKey(source.bio(), nullptr, &give_password, &given));
  if (key == nullptr) {
    const std::string& where = source.place();
    if (given.asked && password.empty()) {
      source.fail("the private key in " + where + " is encrypted, and no password is given");
    }
    if (given.asked) source.fail("the password is not that of the private key in " + where);
    source.fail("the private key in " + where + " cannot be decoded");
  }
  ERR_clear_error();
  return key;
}

}  // namespace weir::inline v0::detail
