#pragma once

#include <openssl/ssl.h>
#include <weir/buffer.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tls_engine.h"
#include "tls_fixture.h"

namespace weir::test {

using detail::ConstBytes;
using detail::TlsEngine;
using Status = TlsEngine::Status;

/// A TlsEngine with what its owner does: feeds it, and looks at what comes.
struct TlsEnd {
  explicit TlsEnd(const TlsContext& context, const std::string& host = "")
      : engine(context, host, output) {}

  /// Goes on as far as `bytes` allow.
  void take(ConstBytes bytes) {
    input.assign(bytes.begin(), bytes.end());  // a place of its own, for the address sanitizer
    engine.feed(input);
    go_on();
  }
  void go_on() {
    if (!handshake_done) status = engine.handshake();
    if (status == Status::ok) handshake_done = true;
    if (handshake_done) read();
    EXPECT_TRUE(engine.rest().empty());
    EXPECT_EQ(status == Status::failed, engine.failure() != nullptr);
  }
  void read() {
    std::vector<std::byte> buffer(buffer_size);
    do {
      const TlsEngine::Read got = engine.read(buffer);
      status = got.status;
      received += as_text(ConstBytes(buffer).first(got.count));
      EXPECT_TRUE(status != Status::ok || got.count == buffer.size());
    } while (status == Status::ok || engine.has_pending());
    EXPECT_FALSE(engine.has_pending());
  }

  SSL* ssl() const {
    return static_cast<SSL*>(std::get<NativeHandle>(engine.info("ssl_object")).pointer);
  }
  std::vector<std::byte> take_output() { return std::exchange(output, {}); }

  std::vector<std::byte> output;
  TlsEngine engine;
  std::vector<std::byte> input;
  std::string received;
  std::size_t buffer_size = 20'000;
  Status status = Status::wants_input;
  bool handshake_done = false;
};

/// Two ends, joined by a wire that cuts what passes into pieces of `cut` bytes.
struct TlsPair {
  TlsPair(const TlsContext& client_context, const TlsContext& server_context,
          const std::string& host = "localhost")
      : client(client_context, host), server(server_context) {}

  void carry(TlsEnd& from, TlsEnd& to) const {
    const std::vector<std::byte> bytes = from.take_output();
    for (ConstBytes rest = bytes; !rest.empty(); rest = rest.subspan(std::min(cut, rest.size()))) {
      to.take(rest.first(std::min(cut, rest.size())));
    }
  }
  /// Until nobody has anything to send.
  void settle() {
    while (!client.output.empty() || !server.output.empty()) {
      carry(client, server);
      carry(server, client);
    }
  }
  void handshake() {
    client.go_on();
    settle();
  }

  TlsEnd client;
  TlsEnd server;
  std::size_t cut = 1'000'000;
};

/// Why `engine` failed; empty if it did not.
inline std::string failure_of(const TlsEngine& engine) {
  if (engine.failure() == nullptr) return {};
  return refusal<TlsError>([&] { std::rethrow_exception(engine.failure()); });
}
/// The same; says so if it is no CertificateError.
inline std::string refusal_of(const TlsEngine& engine) {
  if (engine.failure() == nullptr) return {};
  return refusal<CertificateError>([&] { std::rethrow_exception(engine.failure()); });
}

/// `size` bytes of which each piece looks different.
inline std::string long_text(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
  text.resize(size);
  return text;
}

/// The lengths of the records in `bytes`, which hold nothing else.
inline std::vector<std::size_t> record_sizes(ConstBytes bytes) {
  std::vector<std::size_t> sizes;
  while (bytes.size() >= 5) {
    const std::size_t size =
        std::to_integer<std::size_t>(bytes[3]) * 256 + std::to_integer<std::size_t>(bytes[4]);
    sizes.push_back(size);
    bytes = bytes.subspan(std::min(5 + size, bytes.size()));
  }
  EXPECT_TRUE(bytes.empty());
  return sizes;
}

}  // namespace weir::test
