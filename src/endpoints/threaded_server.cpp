#include <weir/loop_threads.h>
#include <weir/serve_on.h>

#include <deque>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "fd.h"
#include "file.h"
#include "result.h"

namespace weir::inline v0 {
namespace detail {

/// The servers of all threads. Those of a thread are its own, but for their addresses.
class ThreadedServerCore {
 public:
  struct Plan {
    std::function<ProtocolFactory()> factories;
    std::optional<Hosts> hosts;
    std::optional<std::uint16_t> port;
    ServerOptions options;
  };

  ThreadedServerCore(std::size_t threads, Plan plan, const LoopOptions& loops)
      : plan_(std::move(plan)),
        threads_(
            threads, [this](LoopThread& self) { serve(self); }, loops) {}
  ThreadedServerCore(const ThreadedServerCore&) = delete;
  ThreadedServerCore& operator=(const ThreadedServerCore&) = delete;
  ~ThreadedServerCore() {
    on_each(&Server::close);
    on_each(&Server::abort_clients);
    try {
      threads_.join();
    } catch (...) {  // wait() would have told
    }
  }

  static ThreadedServer server(std::unique_ptr<ThreadedServerCore> core) {
    return ThreadedServer(std::move(core));
  }

  std::size_t threads() const noexcept { return threads_.size(); }
  const std::vector<Address>& addresses() const noexcept { return addresses_; }
  void wait() { threads_.join(); }

  void on_each(void (Server::*action)() const) {
    for (std::size_t index = 0; index < threads_.size(); ++index) {
      threads_.post(index, [this, index, action] {
        for (const Server& server : servers_[index]) (server.*action)();
      });
    }
  }

 private:
  void serve(LoopThread& self) {
    std::vector<Server>& mine = servers_.emplace_back();
    EventLoop& loop = self.loop();
    if (plan_.options.sock) {
      mine.push_back(listen_on_shared(loop));
    } else if (addresses_.empty()) {
      mine.push_back(listen_first(loop));
    } else {
      for (const Address& address : addresses_) {
        mine.push_back(listen(loop, Hosts(address.host()), address.port(), shared_options()));
      }
    }
    if (addresses_.empty()) {
      for (const SocketView& socket : mine.front().sockets()) {
        addresses_.push_back(socket.sockname);
        first_socket_ = socket.descriptor;
      }
    }
    self.ready();
    for (const Server& server : mine) loop.run_until_complete(server.wait_closed());
  }

  Server listen(EventLoop& loop, std::optional<Hosts> hosts, std::optional<std::uint16_t> port,
                ServerOptions options) const {
    return loop.run_until_complete(
        start_server(loop, plan_.factories(), std::move(hosts), port, std::move(options)));
  }

  ServerOptions shared_options() const {
    ServerOptions options = plan_.options;
    options.reuse_port = true;
    return options;
  }

  /// A port that another program serves is refused: by itself reuse_port would share it with any.
  Server listen_first(EventLoop& loop) const {
    if (!plan_.options.reuse_port && plan_.port != 0) {
      ServerOptions alone = plan_.options;
      alone.start_serving = false;
      listen(loop, plan_.hosts, plan_.port, std::move(alone)).close();
    }
    return listen(loop, plan_.hosts, plan_.port, shared_options());
  }

  Server listen_on_shared(EventLoop& loop) const {
    ServerOptions options = plan_.options;
    Fd own;
    if (!addresses_.empty()) {
      Result<Fd> copy = duplicate(first_socket_);
      if (!copy) throw std::system_error(copy.error(), "sharing a socket");
      own = std::move(copy.value());
      options.sock = own.get();
    }
    Server server = listen(loop, plan_.hosts, plan_.port, std::move(options));
    static_cast<void>(own.release());  // the server's now
    return server;
  }

  const Plan plan_;
  std::vector<Address> addresses_;  ///< set by the first thread, before the others begin
  int first_socket_ = -1;
  /// By thread; grows while they begin, one after the other.
  std::deque<std::vector<Server>> servers_;
  LoopThreads threads_;
};

ThreadedServer start_threads(std::size_t threads, std::function<ProtocolFactory()> factories,
                             std::optional<Hosts> hosts, std::optional<std::uint16_t> port,
                             ServerOptions options, const LoopOptions& loops) {
  if (!options.start_serving) {
    throw std::invalid_argument("serve_on() serves at once: start_serving must be true");
  }
  return ThreadedServerCore::server(std::make_unique<ThreadedServerCore>(
      threads,
      ThreadedServerCore::Plan{std::move(factories), std::move(hosts), port, std::move(options)},
      loops));
}

}  // namespace detail

using detail::ThreadedServerCore;

ThreadedServer::ThreadedServer() noexcept = default;
ThreadedServer::ThreadedServer(std::unique_ptr<ThreadedServerCore> core) noexcept
    : core_(std::move(core)) {}
ThreadedServer::ThreadedServer(ThreadedServer&&) noexcept = default;
ThreadedServer& ThreadedServer::operator=(ThreadedServer&&) noexcept = default;
ThreadedServer::~ThreadedServer() = default;

std::size_t ThreadedServer::threads() const noexcept {
  return core_ != nullptr ? core_->threads() : 0;
}

const std::vector<Address>& ThreadedServer::addresses() const noexcept {
  static const std::vector<Address> none;
  return core_ != nullptr ? core_->addresses() : none;
}

void ThreadedServer::close() const {
  if (core_ != nullptr) core_->on_each(&Server::close);
}

void ThreadedServer::close_clients() const {
  if (core_ != nullptr) core_->on_each(&Server::close_clients);
}

void ThreadedServer::abort_clients() const {
  if (core_ != nullptr) core_->on_each(&Server::abort_clients);
}

void ThreadedServer::wait() {
  if (core_ != nullptr) core_->wait();
}

}  // namespace weir::inline v0
