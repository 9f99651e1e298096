#include "tls_engine.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "certificate_info.h"
#include "tls_context_core.h"
#include "tls_errors.h"
#include "tls_refusal.h"

namespace weir::inline v0::detail {
namespace {

/// Whether `host` is an IP address; of an IPv6 one with a zone, which no certificate has.
bool is_address(const std::string& host) noexcept {
  const std::unique_ptr<ASN1_OCTET_STRING, FreeWith<&ASN1_OCTET_STRING_free>> address(
      a2i_IPADDRESS(host.c_str()));
  return address != nullptr;
}

/// As a certificate and SNI have it: without the dot that ends a complete name of the DNS.
std::string_view without_final_dot(std::string_view name) noexcept {
  return name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

TlsEngine::TlsEngine(TlsContext context, const std::string& server_hostname,
                     std::vector<std::byte>& output)
    : context_(std::move(context)), wire_{.output = output} {
  ERR_clear_error();
  ssl_.reset(SSL_new(TlsContextCore::of(context_).native()));
  if (ssl_ == nullptr) throw tls_error("cannot make a TLS connection");
  BIO* const bio = make_tls_bio(wire_).release();
  SSL_set_bio(ssl_.get(), bio, bio);  // takes the one reference, for both directions
  SSL_set_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);
  SSL_clear_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
  if (context_.is_server()) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
    if (!server_hostname.empty()) expect(server_hostname);
  }
}

TlsEngine::~TlsEngine() = default;

void TlsEngine::expect(const std::string& server_hostname) {
  const std::string address = server_hostname.substr(0, server_hostname.find('%'));
  const std::string name(without_final_dot(server_hostname));
  const TlsContextCore& core = TlsContextCore::of(context_);
  X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl_.get());
  bool good = true;
  if (is_address(address)) {
    if (core.check_hostname()) good = X509_VERIFY_PARAM_set1_ip_asc(rules, address.c_str()) == 1;
  } else {
    good = name.find('\0') == std::string::npos &&
           SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) == 1;
    if (good && core.check_hostname()) {
      good = X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) == 1;
    }
  }
  if (!good)
    throw tls_error("server_hostname: \"" + server_hostname + "\" cannot be a host's name");
  core.resume(ssl_.get(), server_hostname);
}

/// The only place that knows what the results of the library's calls mean. It never wants to write: the
/// output takes everything.
template <class Call>
TlsEngine::Status TlsEngine::attempt(Call call, std::size_t budget) noexcept {
  wire_.budget = budget;
  const int result = call();
  if (result > 0) return Status::ok;
  // The queue of errors may hold others', and they would be taken for this call's, which is the last. To look
  // before each call instead costs a message of 1 KiB a thirtieth. (A handshake clears the queue itself.)
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return Status::wants_input;
    case SSL_ERROR_ZERO_RETURN:
      // Either the peer's close_notify, or its fatal alert, which no connection survives.
      if (error == 0 || SSL_in_init(ssl_.get()) == 0) {
        peer_shut_down_ = true;
        wire_.input = {};
        return Status::ended;
      }
      [[fallthrough]];
    default:
      if (error != 0) ERR_raise(ERR_GET_LIB(error), ERR_GET_REASON(error));
      return fail(ssl_failure(ssl_.get(), what_failed(ssl_.get(), start())));
  }
}

TlsEngine::Status TlsEngine::fail(std::exception_ptr failure) noexcept {
  failure_ = std::move(failure);
  state_ = State::failed;
  wire_.input = {};
  return Status::failed;
}

TlsEngine::Status TlsEngine::handshake() noexcept {
  if (state_ != State::handshaking) return state_ == State::open ? Status::ok : Status::failed;
  if (shut_down_) {
    wire_.input = {};
    return Status::ended;
  }
  look_at_start();
  const Status status =
      attempt([this] { return SSL_do_handshake(ssl_.get()); }, wire_.input.size());
  ERR_clear_error();  // it may leave some although it is done
  if (status == Status::ok) state_ = State::open;
  if (status != Status::ended) return status;
  return fail(std::make_exception_ptr(TlsError(std::make_error_code(std::errc::connection_reset),
                                               "the peer ended the TLS handshake")));  // [T6]
}

void TlsEngine::look_at_start() noexcept {
  const std::size_t count = std::min(start_.size() - start_size_, wire_.input.size());
  const auto* const bytes = reinterpret_cast<const char*>(wire_.input.data());
  std::copy_n(bytes, count, start_.begin() + start_size_);
  start_size_ = static_cast<std::uint8_t>(start_size_ + count);
}

TlsEngine::Read TlsEngine::read(std::span<std::byte> buffer) noexcept {
  Read read;
  while (read.status == Status::ok && read.count < buffer.size()) {
    if (state_ == State::failed) {
      read.status = Status::failed;
    } else if (peer_shut_down_) {
      read.status = Status::ended;
    } else if (!has_pending()) {
      read.status = Status::wants_input;
    } else {
      const std::span<std::byte> space = buffer.subspan(read.count);
      std::size_t count = 0;
      read.status =
          attempt([&] { return SSL_read_ex(ssl_.get(), space.data(), space.size(), &count); });
      holds_some_ = count == space.size() && SSL_pending(ssl_.get()) > 0;
      read.count += count;
    }
  }
  if (shut_down_) send_close_notify();
  return read;
}

bool TlsEngine::has_data() noexcept {
  if (!has_pending()) return false;
  if (holds_some_) return true;
  std::byte first{};
  std::size_t count = 0;
  holds_some_ = attempt([&] { return SSL_peek_ex(ssl_.get(), &first, 1, &count); }) == Status::ok;
  if (shut_down_) send_close_notify();
  return holds_some_;
}

bool TlsEngine::has_pending() const noexcept {
  if (state_ != State::open || peer_shut_down_) return false;
  return !wire_.input.empty() || holds_some_;
}

TlsEngine::Status TlsEngine::write(ConstBytes data) noexcept {
  if (state_ == State::failed) return Status::failed;
  if (shut_down_) return Status::ended;
  if (state_ == State::handshaking) return Status::wants_input;
  if (data.empty()) return Status::ok;
  std::size_t count = 0;
  return attempt([&] { return SSL_write_ex(ssl_.get(), data.data(), data.size(), &count); });
}

void TlsEngine::shut_down() noexcept {
  if (!std::exchange(shut_down_, true)) send_close_notify();
}

void TlsEngine::send_close_notify() noexcept {
  const bool sent = (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0;
  if (state_ != State::open || sent || SSL_in_init(ssl_.get()) == 1) return;
  // 0 says that the peer's is still to come.
  attempt([this] { return SSL_shutdown(ssl_.get()) < 0 ? -1 : 1; });
}

ExtraInfo TlsEngine::info(std::string_view name) const {
  SSL* const ssl = ssl_.get();
  if (name == "sslcontext") return context_;
  if (name == "ssl_object") return NativeHandle{ssl};
  if (state_ == State::handshaking) return {};
  if (name == "tls_version") return std::string(SSL_get_version(ssl));
  if (name == "session_reused") return SSL_session_reused(ssl) == 1;
  if (name == "tls_clean_shutdown") return peer_shut_down_;
  if (name == "cipher") {
    if (auto cipher = cipher_info(ssl)) return *std::move(cipher);
  } else if (name == "peercert") {
    if (X509* const certificate = SSL_get0_peer_certificate(ssl))
      return certificate_info(certificate);
  } else if (name == "compression") {
    if (const COMP_METHOD* const method = SSL_get_current_compression(ssl)) {
      return std::string(SSL_COMP_get_name(method));
    }
  } else if (name == "alpn") {
    const unsigned char* protocol = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &size);
    if (size > 0) return std::string(protocol, protocol + size);
  }
  return {};
}

}  // namespace weir::inline v0::detail
