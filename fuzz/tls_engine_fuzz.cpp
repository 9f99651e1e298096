// Arbitrary bytes, in pieces of any size, for one end of a connection: instead of a handshake, in the
// middle of one, or behind it. Nothing may crash, and TlsEngine's promises hold.
//
// An input: what is done (a byte, see below), the size of the pieces, the bytes.

#include <cstddef>
#include <cstdint>
#include <span>

#include "tls_fuzz.h"

namespace {

using namespace weir::fuzz;

enum : std::size_t {
  to_the_client = 1,
  with_tls1_2 = 2,
  half_way = 4,          ///< the client's first flight, and the server's answer, were real
  behind_handshake = 8,  ///< all of it was
  then_write = 16,
  then_shut_down = 32,
  small_buffer = 64,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  restart_randomness();
  Script script({data, size});
  const std::size_t what = script.byte();
  const auto version =
      (what & with_tls1_2) != 0 ? weir::TlsVersion::tls1_2 : weir::TlsVersion::tls1_3;
  End client(client_context(version));
  End server(server_context(version));
  End& target = (what & to_the_client) != 0 ? client : server;
  End& other = (what & to_the_client) != 0 ? server : client;

  client.go_on();
  if ((what & half_way) != 0) server.take(client.take_output());
  if ((what & behind_handshake) != 0) {
    settle(client, server);
    require(client.engine().is_handshake_done() && server.engine().is_handshake_done(),
            "a real handshake succeeds");
  }
  if ((what & then_write) != 0) target.write(weir::as_bytes("some data"));
  if ((what & then_shut_down) != 0) target.engine().shut_down();
  if ((what & small_buffer) != 0) target.set_buffer_size(3);

  const std::size_t cut = 1 + script.byte();
  while (!script.is_over()) target.take(script.bytes(cut));
  target.write(weir::as_bytes("more data"));
  target.engine().shut_down();
  other.take(target.take_output());
  settle(client, server);
  return 0;
}
