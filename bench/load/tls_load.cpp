// The load generator for TLS. With --reconnect each request has a connection of its own, with a full
// handshake: it ends when the answer has come and the server has closed.

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "echo_load.h"
#include "tls_connection.h"

namespace {

using bench::Arrived;
using bench::load_failed;
using bench::LoadTarget;
using bench::TlsConnection;

/// Never with a session to resume: a client of OpenSSL keeps none unless told to.
std::unique_ptr<TlsConnection> connect(const LoadTarget& target) {
  static const bench::TlsContext context = bench::tls_client_context();
  auto connection = std::make_unique<TlsConnection>(target.connect(), context.get());
  if (!connection->start_handshake()) load_failed("starting a handshake", EPROTO);
  return connection;
}

void send_all(TlsConnection& connection, std::span<const std::byte> data) {
  if (!connection.send(data)) load_failed("send", EPROTO);
}

void flush_unsent(TlsConnection& connection) {
  if (connection.has_unsent() && !connection.flush()) load_failed("send", EPROTO);
}

class TlsStream {
 public:
  static constexpr std::size_t buffer_size = TlsConnection::max_received;

  explicit TlsStream(const LoadTarget& target) : connection_(connect(target)) {
    std::vector<std::byte> nothing(buffer_size);
    while (!connection_->is_handshake_done()) {
      pollfd readable{.fd = connection_->fd(), .events = POLLIN, .revents = 0};
      if (::poll(&readable, 1, handshake_timeout_ms) <= 0) load_failed("handshake", ETIMEDOUT);
      if (connection_->receive(nothing).ended) load_failed("handshake", EPROTO);
    }
  }

  void flush() { flush_unsent(*connection_); }

  std::size_t send(std::span<const std::byte> data) {
    send_all(*connection_, data);
    return data.size();
  }

  Arrived receive(std::span<std::byte> buffer) {
    const auto received = connection_->receive(buffer);
    if (received.ended) load_failed("the server closed a connection", EPROTO);
    return {.size = received.size, .drained = received.drained};
  }

 private:
  static constexpr int handshake_timeout_ms = 10'000;

  std::unique_ptr<TlsConnection> connection_;
};

class TlsReconnecting {
 public:
  static constexpr std::size_t buffer_size = TlsConnection::max_received;

  explicit TlsReconnecting(const LoadTarget& target) : target_(target) {}

  void flush() {
    if (connection_) flush_unsent(*connection_);
  }

  std::size_t send(std::span<const std::byte> request) {
    request_ = request;
    answer_.clear();
    is_sent_ = false;
    connection_ = connect(target_);
    return request.size();
  }

  Arrived receive(std::span<std::byte> buffer) {
    const auto received = connection_->receive(buffer);
    const auto data = buffer.first(received.size);
    answer_.insert(answer_.end(), data.begin(), data.end());
    const bool answered = answer_.size() >= request_.size();
    if (received.ended) {
      if (!answered) load_failed("the server closed a connection", EPROTO);
      connection_.reset();
      std::copy(answer_.begin(), answer_.end(), buffer.begin());
      return {.size = answer_.size(), .drained = true};
    }
    if (!is_sent_ && connection_->is_handshake_done()) {
      is_sent_ = true;
      send_all(*connection_, request_);
    }
    if (answered && data.size() > 0 && !connection_->shut_down()) load_failed("send", EPROTO);
    return {.size = 0, .drained = received.drained};
  }

 private:
  LoadTarget target_;
  std::unique_ptr<TlsConnection> connection_;
  std::span<const std::byte> request_;
  bool is_sent_ = false;
  std::vector<std::byte> answer_;
};

}  // namespace

int main(int argc, char** argv) { bench::run_load<TlsStream, TlsReconnecting>(argc, argv); }
