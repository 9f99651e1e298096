#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "stream_maker.h"

namespace weir::test {

enum class DatagramKind : std::uint8_t { udp4, udp6, unix_socket };

/// One way to have datagram sockets: which backend, which kind, and whether the one that sends is
/// connected to the other. Behaviour tests run over all of them and name none.
struct DatagramMaker {
  BackendKind backend = BackendKind::automatic;
  DatagramKind kind = DatagramKind::udp4;
  bool connected = false;

  /// "udp4_epoll_connected", "unix_simulated".
  std::string name() const;
  LoopOptions loop_options() const { return test::loop_options(backend); }
  AddressFamily family() const;

  /// Of a socket with an address of its own; `remote` is whom it is connected to, unless empty.
  DatagramOptions bound(const Address& remote = {}) const;
  /// Of a socket that is not bound, connected to `remote`.
  DatagramOptions connected_to(const Address& remote) const;

  bool is_unix() const { return kind == DatagramKind::unix_socket; }

  /// What is one byte too large for a datagram, or many.
  std::size_t too_large() const;

  friend void PrintTo(const DatagramMaker& maker, std::ostream* out) { *out << maker.name(); }
};

/// Every maker this machine has; of all kinds, or of one. Connected or not: see `connected`.
std::vector<DatagramMaker> datagram_makers();
std::vector<DatagramMaker> datagram_makers(DatagramKind kind);
/// Those of every kind for which `fits(maker)` holds.
template <class Fits>
std::vector<DatagramMaker> datagram_makers_where(Fits fits) {
  std::vector<DatagramMaker> makers = datagram_makers();
  std::erase_if(makers, [&](const DatagramMaker& maker) { return !fits(maker); });
  return makers;
}

}  // namespace weir::test
