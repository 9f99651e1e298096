#include "datagram_maker.h"

#include "endpoint_support.h"
#include "temporary_directory.h"

namespace weir::test {

std::string DatagramMaker::name() const {
  std::string name;
  switch (kind) {
    case DatagramKind::udp4: name = "udp4"; break;
    case DatagramKind::udp6: name = "udp6"; break;
    case DatagramKind::unix_socket: name = "unix"; break;
  }
  name += '_' + std::string(to_string(backend));
  return connected ? name + "_connected" : name;
}

AddressFamily DatagramMaker::family() const {
  switch (kind) {
    case DatagramKind::udp4: return AddressFamily::ipv4;
    case DatagramKind::udp6: return AddressFamily::ipv6;
    case DatagramKind::unix_socket: break;
  }
  return AddressFamily::unix_socket;
}

DatagramOptions DatagramMaker::bound(const Address& remote) const {
  DatagramOptions options = remote.empty() ? DatagramOptions() : connected_to(remote);
  switch (kind) {
    case DatagramKind::udp4: options.local_addr = {"127.0.0.1", 0}; break;
    case DatagramKind::udp6: options.local_addr = {"::1", 0}; break;
    case DatagramKind::unix_socket: options.local_path = new_socket_path(); break;
  }
  return options;
}

DatagramOptions DatagramMaker::connected_to(const Address& remote) const {
  DatagramOptions options;
  if (kind == DatagramKind::unix_socket) {
    options.remote_path = remote.path();
  } else {
    options.remote_addr = {remote.host(), remote.port()};
  }
  return options;
}

std::size_t DatagramMaker::too_large() const {
  switch (kind) {
    case DatagramKind::udp4: return 65'508;
    case DatagramKind::udp6: return 65'528;
    case DatagramKind::unix_socket: break;
  }
  return 8 * MiB;
}

std::vector<DatagramMaker> datagram_makers(DatagramKind kind) {
  std::vector<DatagramMaker> makers;
  for (const BackendKind backend : backends()) {
    const bool there =
        kind != DatagramKind::udp6 || backend == BackendKind::simulated || has_ipv6();
    for (const bool connected : {false, true}) {
      if (there) makers.push_back({.backend = backend, .kind = kind, .connected = connected});
    }
  }
  return makers;
}

std::vector<DatagramMaker> datagram_makers() {
  std::vector<DatagramMaker> makers;
  for (const DatagramKind kind :
       {DatagramKind::udp4, DatagramKind::udp6, DatagramKind::unix_socket}) {
    for (const DatagramMaker& maker : datagram_makers(kind)) makers.push_back(maker);
  }
  return makers;
}

}  // namespace weir::test
