// Connections that echo, both ends on one loop: all that runs is the library, and the same from run to run.
#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace weir::gate {

struct Echo : Protocol {
  void connection_made(Transport made) override { transport = made; }
  void data_received(std::span<const std::byte> data) override { transport.write(data); }

  Transport transport;
};

/// Counts the clients that still wait for an answer, and ends the run with the last of them.
class Waiting {
 public:
  explicit Waiting(EventLoop& loop) : loop_(loop) {}
  void run(std::size_t clients) {
    waiting_ = clients;
    loop_.run_forever();
  }
  void one_is_done() {
    if (--waiting_ == 0) loop_.stop();
  }

 private:
  EventLoop& loop_;
  std::size_t waiting_ = 0;
};

/// Writes a message, and the next one once all of it has come back.
class Client : public Protocol {
 public:
  Client(Waiting& waiting, std::size_t size) : waiting_(waiting), message_(size) {}

  void begin(std::size_t rounds) {
    rounds_left_ = rounds;
    write();
  }
  void connection_made(Transport made) override { transport_ = made; }
  void data_received(std::span<const std::byte> data) override {
    received_ += data.size();
    if (received_ < message_.size()) return;
    if (--rounds_left_ > 0) return write();
    waiting_.one_is_done();
  }

 private:
  void write() {
    received_ = 0;
    transport_.write(message_);
  }

  Waiting& waiting_;
  const std::vector<std::byte> message_;
  Transport transport_;
  std::size_t received_ = 0;
  std::size_t rounds_left_ = 0;
};

/// Clients, each with a connection that `connect(factory)` opens to a server of Echo.
class EchoConnections {
 public:
  template <class Connect>
  EchoConnections(EventLoop& loop, std::size_t connections, std::size_t size, Connect connect)
      : waiting_(loop) {
    for (std::size_t i = 0; i < connections; ++i) {
      clients_.push_back(std::make_shared<Client>(waiting_, size));
      loop.run_until_complete(connect([client = clients_.back()] { return client; }));
    }
  }

  EchoConnections(const EchoConnections&) = delete;
  EchoConnections& operator=(const EchoConnections&) = delete;

  /// Has each client exchange `rounds` messages, all clients at the same time.
  void exchange(std::size_t rounds) {
    for (const auto& client : clients_) client->begin(rounds);
    waiting_.run(clients_.size());
  }

 private:
  Waiting waiting_;
  std::vector<std::shared_ptr<Client>> clients_;
};

/// Over TCP, or over TLS if both options say so.
inline EchoConnections echo_over_tcp(EventLoop& loop, std::size_t connections, std::size_t size,
                                     const ConnectOptions& at_client = {},
                                     const ServerOptions& at_server = {}) {
  const Server server =
      loop.run_until_complete(create_server<Echo>(loop, "127.0.0.1", 0, at_server));
  return {loop, connections, size, [&](auto factory) {
            return create_connection(loop, std::move(factory), "127.0.0.1",
                                     server.sockets().at(0).sockname.port(), at_client);
          }};
}

}  // namespace weir::gate
