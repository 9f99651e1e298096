// What the world opens: servers, connections of every kind, pipes, datagram sockets.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "files.h"
#include "tls_contexts.h"
#include "world.h"

namespace weir::destroyer {
namespace {

constexpr std::size_t most_servers = 4;
constexpr std::size_t most_live = 14;

}  // namespace

Stream& World::new_stream() {
  streams_.push_back(std::make_unique<Stream>());
  streams_.back()->number = static_cast<std::uint32_t>(streams_.size());
  return *streams_.back();
}

Stream& World::claim(std::uint32_t number, StreamEnd& reader) {
  if (number == 0 || number > streams_.size()) {
    journal_.broken("end " + std::to_string(reader.number()) + " received what nobody wrote");
  }
  Stream& stream = *streams_[number - 1];
  journal_.require(stream.reader == nullptr, "two ends receive the same stream");
  stream.reader = &reader;
  return stream;
}

std::shared_ptr<StreamEnd> World::new_stream_end(std::size_t machine, StreamKind kind, bool tls) {
  auto end = std::make_shared<StreamEnd>(*this, ends_.size() + 1, machine, kind, tls, new_stream());
  ends_.push_back(end);
  return end;
}

/// What a factory does: it may throw, or make nothing.
AnyProtocol World::made_by_factory(const std::shared_ptr<StreamEnd>& end) {
  journal_.event("factory", end->number());
  act(Point::factory, nullptr);
  if (!is_settling() && choices_.chance(2)) {
    journal_.step("factory makes nothing");
    return {};
  }
  return end->new_protocol(random_kind());
}

ProtocolFactory World::factory_of(std::shared_ptr<StreamEnd> end) {
  return [this, end = std::move(end)] { return made_by_factory(end); };
}

template <class Opened>
void World::keep_opener(std::size_t machine, std::shared_ptr<End> end, Future<Opened> future) {
  end->set_opened([future] { return future.done(); });
  future.add_done_callback([this, end](const Future<Opened>& done) {
    journal_.event("opener is done", end->number());
    const std::exception_ptr failure = done.cancelled() ? nullptr : done.exception();
    check_opened(end, failure, done.cancelled());
    act(Point::future_done, end.get());
  });
  openers_.push_back({machine, std::move(end), [future] { return future.done(); },
                      [future] { future.cancel(); },
                      [future](EventLoop& loop) { loop.run_until_complete(future); }});
}

/// What failed has not begun, unless its own connection_made() was why. [B3, T29]
void World::check_opened(const std::shared_ptr<End>& end, const std::exception_ptr& failure,
                         bool cancelled) {
  if (cancelled) return;
  if (failure == nullptr) {
    journal_.require(end->is_made(), "an opener is done before connection_made() [B8]");
    return;
  }
  try {
    std::rethrow_exception(failure);
  } catch (const std::system_error&) {
  } catch (const std::invalid_argument&) {
  } catch (const Thrown&) {
  } catch (const Fatal&) {
  } catch (const std::exception& error) {
    journal_.broken(std::string("an opener failed with ") + error.what());
  }
}

std::string World::new_path() {
  return std::string(1, '\0') + "weir-destroyer-" + std::to_string(::getpid()) + '-' +
         std::to_string(reinterpret_cast<std::uintptr_t>(this)) + '-' + std::to_string(++paths_);
}

void World::open(std::size_t machine) {
  EventLoop* const its = loop(machine);
  if (its == nullptr || its->is_closed()) return;
  const auto live = static_cast<std::size_t>(
      std::ranges::count_if(ends_, [](const auto& end) { return end->is_live(); }));
  const bool has_server = std::ranges::any_of(
      servers_, [](const Listening& listening) { return listening.server.is_serving(); });
  if (!has_server || (servers_.size() < most_servers && choices_.chance(10))) {
    return open_server(*its, machine);
  }
  if (live + openers_.size() > most_live) return;
  switch (choices_.below(8)) {
    case 0: return open_pipes(*its, machine);
    case 1:
    case 2: return open_datagrams(*its, machine);
    default: return open_stream(*its, machine);
  }
}

void World::open_server(EventLoop& its, std::size_t machine) {
  const std::size_t index = servers_.size();
  Listening listening{.machine = machine};
  listening.tls = has_tls() && choices_.chance(30);
  const bool local = choices_.chance(30);
  journal_.step(local ? "create_unix_server" : "create_server", index);
  const auto factory = [this, index, machine, local, tls = listening.tls] {
    const auto end = new_stream_end(machine, local ? StreamKind::local : StreamKind::tcp, tls);
    end->set_server(index);
    return made_by_factory(end);
  };
  Future<Server> future;
  if (local) {
    auto options = tls_options<UnixServerOptions>();
    if (listening.tls) options.tls = server_tls();
    if (!listening.tls) options.tls_handshake_timeout = options.tls_shutdown_timeout = {};
    listening.path = new_path();
    future = create_unix_server(its, factory, listening.path, options);
  } else {
    auto options = tls_options<ServerOptions>();
    if (listening.tls) options.tls = server_tls();
    if (!listening.tls) options.tls_handshake_timeout = options.tls_shutdown_timeout = {};
    if (choices_.chance(20)) options.backlog = static_cast<int>(choices_.below(3));
    const std::string address =
        network_ ? machines_[machine].host.addresses().front().host() : "127.0.0.1";
    future = create_server(its, factory, address, 0, options);
  }
  servers_.push_back(std::move(listening));
  future.add_done_callback([this, index](const Future<Server>& done) {
    journal_.event("server is done", index);
    if (done.cancelled()) return;
    if (done.exception() != nullptr) {
      try {
        std::rethrow_exception(done.exception());
      } catch (const std::system_error&) {
        return;
      } catch (const std::exception& error) {
        journal_.broken(std::string("a server failed with ") + error.what());
      }
    }
    servers_[index].server = done.result();
    if (is_settling()) servers_[index].server.close();
  });
}

void World::open_stream(EventLoop& its, std::size_t machine) {
  const Listening& target = servers_[choices_.below(servers_.size())];
  if (!target.path.empty()) {
    if (target.machine != machine) return;
    const auto end = new_stream_end(machine, StreamKind::local, target.tls);
    auto options = tls_options<UnixConnectOptions>();
    if (target.tls) {
      options.tls = client_tls();
      options.server_hostname = "localhost";
    } else {
      options.tls_handshake_timeout = options.tls_shutdown_timeout = {};
    }
    journal_.step("create_unix_connection", end->number());
    return keep_opener(machine, end,
                       create_unix_connection(its, factory_of(end), target.path, options));
  }
  const auto sockets =
      target.server.get_loop() == nullptr ? std::vector<SocketView>() : target.server.sockets();
  const std::string host =
      network_ ? machines_[target.machine].host.addresses().front().host() : "127.0.0.1";
  const std::uint16_t port = sockets.empty() ? 1 : sockets.front().sockname.port();
  const bool plain = target.tls && choices_.chance(5);  // the server will not understand
  const auto end = new_stream_end(machine, StreamKind::tcp, target.tls && !plain);
  auto options = tls_options<ConnectOptions>();
  if (target.tls && !plain) {
    options.tls = client_tls();
    options.server_hostname = choices_.chance(95) ? "localhost" : "elsewhere";
  } else {
    options.tls_handshake_timeout = options.tls_shutdown_timeout = {};
  }
  journal_.step("create_connection", end->number());
  keep_opener(machine, end, create_connection(its, factory_of(end), host, port, options));
}

void World::open_pipes(EventLoop& its, std::size_t machine) {
  const auto reader = new_stream_end(machine, StreamKind::read_pipe, false);
  const auto writer = new_stream_end(machine, StreamKind::write_pipe, false);
  journal_.step("pipe", reader->number());
  const auto connect = [&](int read_end, int write_end) {
    keep_opener(machine, reader, connect_read_pipe(its, factory_of(reader), read_end));
    keep_opener(machine, writer, connect_write_pipe(its, factory_of(writer), write_end));
  };
  if (is_real()) {
    PipeEnds ends = new_pipe();
    const bool no_reader = choices_.chance(3);
    if (no_reader) ends.read_end.reset();
    connect(no_reader ? -1 : ends.read_end.release(), ends.write_end.release());
  } else {
    const SimulatedPipe ends = simulated_pipe(its);
    connect(ends.read_end, ends.write_end);
  }
}

void World::open_datagrams(EventLoop& its, std::size_t machine) {
  const bool local = choices_.chance(30);
  const AddressFamily family = local ? AddressFamily::unix_socket : AddressFamily::ipv4;
  const Address peer = choices_.chance(50) ? some_datagram_address(family) : Address();
  const auto end =
      std::make_shared<DatagramEnd>(*this, ends_.size() + 1, machine, family, !peer.empty());
  ends_.push_back(end);
  DatagramOptions options;
  if (local) {
    options.local_path = new_path();
    if (!peer.empty()) options.remote_path = peer.path();
  } else {
    const std::string host =
        network_ ? machines_[machine].host.addresses().front().host() : "127.0.0.1";
    options.local_addr = LocalAddress{host, 0};
    if (!peer.empty()) options.remote_addr = LocalAddress{peer.host(), peer.port()};
  }
  journal_.step("create_datagram_endpoint", end->number());
  const auto factory = [this, end] {
    journal_.event("factory", end->number());
    act(Point::factory, nullptr);
    return end->new_protocol();
  };
  keep_opener(machine, end, create_datagram_endpoint(its, factory, options));
}

Address World::some_datagram_address(AddressFamily family) {
  std::vector<Address> known;
  for (const auto& end : ends_) {
    const auto* const datagrams = dynamic_cast<const DatagramEnd*>(end.get());
    if (datagrams != nullptr && datagrams->family() == family && !datagrams->address().empty()) {
      known.push_back(datagrams->address());
    }
  }
  if (known.empty()) return {};
  return known[choices_.below(known.size())];
}

}  // namespace weir::destroyer
