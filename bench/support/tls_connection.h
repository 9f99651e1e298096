// A socket that speaks TLS, with as little as there can be between OpenSSL and the kernel: what the
// bare server and the load generator are made of.
//
// All connections of a program share one buffer for what arrives and one for what is sent, and one
// BIO that OpenSSL reads and writes them by. So a receive takes all records that are there in one
// system call, a message leaves in one, however many records it has, and an idle connection owns
// nothing but its SSL object. One thread only.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "certificate.h"

namespace bench {

using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

/// TLS 1.3, else OpenSSL's defaults.
inline TlsContext tls_context(const SSL_METHOD* method) {
  TlsContext context(SSL_CTX_new(method), SSL_CTX_free);
  tls_check(context && SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1,
            "making a TLS context");
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context;
}

/// Trusts every server: what is measured is the server.
inline TlsContext tls_client_context() { return tls_context(TLS_client_method()); }

inline TlsContext tls_server_context() {
  TlsContext context = tls_context(TLS_server_method());
  const std::string text = self_signed_pem();
  const std::unique_ptr<BIO, decltype(&BIO_free)> pem(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr), X509_free);
  tls_check(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1 &&
                SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1,
            "using the certificate");
  return context;
}

class TlsConnection {
 public:
  /// As many bytes may one receive() bring: the buffer full of them, and a record begun before it.
  static constexpr std::size_t max_received = (256 + 16) * 1024;

  struct Received {
    std::size_t size = 0;
    bool drained = true;  // the socket has no more for now
    bool ended = false;   // nothing more will come: the peer has closed, or the connection failed
  };

  /// Takes over the socket. On which side it is, the method of `context` says.
  TlsConnection(int fd, SSL_CTX* context) : fd_(fd), ssl_(SSL_new(context)) {
    tls_check(ssl_ != nullptr && BIO_up_ref(shared_bio()) == 1, "SSL_new");
    SSL_set_bio(ssl_, shared_bio(), shared_bio());
    SSL_is_server(ssl_) == 1 ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
  }
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;
  ~TlsConnection() {
    SSL_free(ssl_);
    ::close(fd_);
  }

  int fd() const { return fd_; }
  bool is_handshake_done() const { return SSL_is_init_finished(ssl_) == 1; }

  /// Of a client: sends its first flight. receive() does what remains of a handshake, on both sides.
  [[nodiscard]] bool start_handshake() { return done_so_far(SSL_connect(ssl_)); }

  /// One recv, decrypted into `plain` as far as it goes. `plain` has room for max_received.
  Received receive(std::span<std::byte> plain) {
    const ssize_t size = ::recv(fd_, arrived_.data(), arrived_.size(), MSG_DONTWAIT);
    if (size <= 0) return {.ended = size == 0 || errno != EAGAIN};
    input_ = std::span(arrived_).first(static_cast<std::size_t>(size));

    Received received{.drained = input_.size() < arrived_.size()};
    int result = 1;
    while (result == 1 && !input_.empty()) {
      std::size_t part = 0;
      const auto room = plain.subspan(received.size);
      result = SSL_read_ex(ssl_, room.data(), room.size(), &part);
      received.size += part;
    }
    received.ended = !done_so_far(result);
    input_ = {};
    return received;
  }

  /// Encrypts all of `plain`; sends what the kernel takes at once, and keeps the rest for flush().
  /// False if the connection failed.
  [[nodiscard]] bool send(std::span<const std::byte> plain) {
    std::size_t written = 0;
    return done_so_far(SSL_write_ex(ssl_, plain.data(), plain.size(), &written));
  }

  bool has_unsent() const { return !unsent_.empty(); }

  /// Sends on; false if the connection failed.
  [[nodiscard]] bool flush() {
    const ssize_t sent = send_some(unsent_);
    if (sent < 0) return false;
    unsent_.erase(unsent_.begin(), unsent_.begin() + sent);
    return true;
  }

  /// Sends the close_notify; false if the connection failed.
  [[nodiscard]] bool shut_down() {
    const int result = SSL_shutdown(ssl_);  // 0: sent, but the peer's has not come
    return done_so_far(result < 0 ? result : 1);
  }

 private:
  /// After each call of OpenSSL: sends what it wants sent. False if the call failed, but for the lack
  /// of input.
  bool done_so_far(int result) {
    const bool done = result == 1 || SSL_get_error(ssl_, result) == SSL_ERROR_WANT_READ;
    if (!done) ERR_clear_error();
    ssize_t sent = 0;
    if (unsent_.empty() && !output_.empty()) sent = send_some(output_);
    if (sent >= 0) unsent_.insert(unsent_.end(), output_.begin() + sent, output_.end());
    output_.clear();
    return done && sent >= 0;
  }

  /// How much the kernel took of the front of `data`, or -1 on an error.
  ssize_t send_some(std::span<const std::byte> data) const {
    const ssize_t sent = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
  }

  static BIO* shared_bio() {
    static BIO* const bio = [] {
      BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shared");
      tls_check(method != nullptr && BIO_meth_set_read(method, take_input) == 1 &&
                    BIO_meth_set_write(method, add_output) == 1 &&
                    BIO_meth_set_ctrl(method, control) == 1,
                "BIO_meth_new");
      BIO* made = BIO_new(method);
      tls_check(made != nullptr, "BIO_new");
      BIO_set_init(made, 1);
      return made;
    }();
    return bio;
  }

  static int take_input(BIO* bio, char* buffer, int size) {
    const std::size_t taken = std::min(input_.size(), static_cast<std::size_t>(size));
    BIO_clear_retry_flags(bio);
    if (taken == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::memcpy(buffer, input_.data(), taken);
    input_ = input_.subspan(taken);
    return static_cast<int>(taken);
  }

  static int add_output(BIO*, const char* data, int size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    output_.insert(output_.end(), bytes, bytes + size);
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static inline std::array<std::byte, 256 * 1024> arrived_;
  static inline std::span<const std::byte> input_;  // what OpenSSL has yet to read of arrived_
  static inline std::vector<std::byte> output_;     // empty between calls

  int fd_;
  SSL* ssl_;
  std::vector<std::byte> unsent_;
};

}  // namespace bench
