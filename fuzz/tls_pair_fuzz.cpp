// Two ends of a connection, driven by a program: they write, read into buffers of any size, update their
// keys and end, while what they send is carried over in pieces, and may be changed on the way. Whatever
// happens, what one receives is what the other wrote, from its beginning on; all of it, if nothing was
// changed and nobody gave up in the handshake.
//
// An input: what is done (a byte), then steps: a byte for the step and the side, a byte for how much.

#include <openssl/ssl.h>
#include <weir/transport.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tls_fuzz.h"

namespace {

using namespace weir::fuzz;

/// One direction of the wire.
struct Direction {
  End& from;
  End& to;
  std::vector<std::byte> on_the_way{};
  std::string written{};
  bool changed = false;
  bool given_up = false;  ///< `from` was shut down in its handshake: it will read nothing
};

/// How much a step is about: bytes one by one, or many.
std::size_t amount(std::size_t byte) { return byte < 128 ? byte : (byte - 127) * 500; }

void send(Direction& way) {
  const auto output = way.from.take_output();
  way.on_the_way.insert(way.on_the_way.end(), output.begin(), output.end());
}

void carry(Direction& way, std::size_t count) {
  const std::size_t size = std::min(count, way.on_the_way.size());
  way.to.take(ConstBytes(way.on_the_way).first(size));
  way.on_the_way.erase(way.on_the_way.begin(),
                       way.on_the_way.begin() + static_cast<std::ptrdiff_t>(size));
}

void write(Direction& way, std::size_t size) {
  std::string text;
  while (text.size() < size) text += std::to_string(way.written.size() + text.size()) + ' ';
  text.resize(size);
  if (way.from.write(weir::as_bytes(text))) way.written += text;
}

void change(Direction& way, std::size_t place, std::byte by) {
  if (way.on_the_way.empty() || by == std::byte{}) return;
  way.on_the_way[place % way.on_the_way.size()] ^= by;
  way.changed = true;
}

void update_key(End& end, std::size_t kind) {
  auto* const ssl =
      static_cast<SSL*>(std::get<weir::NativeHandle>(end.engine().info("ssl_object")).pointer);
  if (SSL_version(ssl) != TLS1_3_VERSION || !end.engine().is_handshake_done()) return;
  SSL_key_update(ssl, kind % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
}

void check(const Direction& way) {
  require(way.written.starts_with(way.to.received()), "what is received is what was written");
}

void step(Direction& way, std::size_t what, Script& script) {
  switch (what % 8) {
    case 0: return carry(way, amount(script.byte()));
    case 1: return carry(way, way.on_the_way.size());
    case 2: return write(way, amount(script.byte()));
    case 3: return way.to.set_buffer_size(amount(script.byte()));
    case 4: return update_key(way.from, script.byte());
    case 5:
      if (!way.from.engine().is_handshake_done()) way.given_up = true;
      return way.from.engine().shut_down();
    case 6: {
      const std::size_t place = amount(script.byte());
      return change(way, place, static_cast<std::byte>(script.byte()));
    }
    default: return way.from.go_on();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  restart_randomness();
  Script script({data, std::min<std::size_t>(size, 400)});
  const std::size_t what = script.byte();
  const auto version = (what & 1) != 0 ? weir::TlsVersion::tls1_2 : weir::TlsVersion::tls1_3;
  End client(client_context(version));
  End server(server_context(version));
  std::array<Direction, 2> ways{{{client, server}, {server, client}}};
  client.go_on();
  if ((what & 2) != 0) settle(client, server);

  while (!script.is_over()) {
    const std::size_t next = script.byte();
    step(ways[next / 8 % 2], next, script);
    for (Direction& way : ways) {
      send(way);
      check(way);
    }
  }

  // The rest of what is on the way arrives, and both end.
  const auto deliver = [&] {
    while (!ways[0].on_the_way.empty() || !ways[1].on_the_way.empty()) {
      for (Direction& way : ways) carry(way, way.on_the_way.size());
      for (Direction& way : ways) send(way);
    }
  };
  deliver();
  client.engine().shut_down();
  server.engine().shut_down();
  for (Direction& way : ways) send(way);
  deliver();
  for (const Direction& way : ways) {
    check(way);
    if (ways[0].changed || ways[1].changed) continue;
    require(way.to.engine().failure() == nullptr, "what is not changed does not fail");
    if (ways[0].given_up || ways[1].given_up) continue;
    require(way.to.received() == way.written, "all that was written arrives");
  }
  return 0;
}
