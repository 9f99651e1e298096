#pragma once

#include <weir/address.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/protocol.h>
#include <weir/server.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline v0 {

namespace detail {
class ThreadedServerCore;
}

/// A server on several threads, each with an event loop; see serve_on().
///
/// Threads: any, one at a time; close(), close_clients() and abort_clients() any.
class WEIR_API ThreadedServer {
 public:
  /// Names nothing: there are no threads.
  ThreadedServer() noexcept;
  ThreadedServer(ThreadedServer&&) noexcept;
  ThreadedServer& operator=(ThreadedServer&&) noexcept;
  ThreadedServer(const ThreadedServer&) = delete;
  ThreadedServer& operator=(const ThreadedServer&) = delete;
  /// Closes, aborts every connection, and waits for all threads.
  ~ThreadedServer();

  std::size_t threads() const noexcept;
  /// Where it listens, or has listened: the same on each thread.
  const std::vector<Address>& addresses() const noexcept;

  /// Stops listening; connections go on. Nothing if repeated.
  void close() const;
  /// Closes every connection that is open, sending what was written.
  void close_clients() const;
  void abort_clients() const;
  /// Waits until it is closed and its last connection is gone, and its threads with it. Throws what ended
  /// one of them before its time, once: what a fatal-exception predicate let out.
  void wait();

 private:
  friend class detail::ThreadedServerCore;
  explicit ThreadedServer(std::unique_ptr<detail::ThreadedServerCore> core) noexcept;

  std::unique_ptr<detail::ThreadedServerCore> core_;
};

namespace detail {
/// `factories` is called on each of the threads, one after the other.
WEIR_API ThreadedServer start_threads(std::size_t threads,
                                      std::function<ProtocolFactory()> factories,
                                      std::optional<Hosts> hosts, std::optional<std::uint16_t> port,
                                      ServerOptions options, const LoopOptions& loops);

/// A factory of factories, each with a copy of `make_protocol`.
template <class Factory>
std::function<ProtocolFactory()> a_copy_each(Factory make_protocol) {
  return [make_protocol = std::move(make_protocol)] { return any_factory(make_protocol); };
}
}  // namespace detail

/// Serves TCP connections on `hosts` and `port` with `threads` threads, 0: as many as this process has processors.
/// Returns when all listen.
///
///     auto server = weir::serve_on(2, [] { return std::make_shared<Echo>(); }, "127.0.0.1", 8888);
///     server.wait();
///
/// Each thread has a loop as `loops` say, listens on a socket of its own, and has a copy of `make_protocol`; a connection
/// stays on the thread that accepted it, and all its callbacks run there. The kernel spreads connections by a hash of
/// their addresses (SO_REUSEPORT): many, evenly; a few, by luck. With `options.sock`, in place of hosts and
/// a port, all threads accept from that one socket, and whoever is idle is first.
///
/// Errors, by exception: as create_server(); std::invalid_argument for a simulated backend and for
/// `start_serving = false`.
template <detail::MakesProtocol Factory>
  requires std::copy_constructible<Factory>
ThreadedServer serve_on(std::size_t threads, Factory make_protocol, Hosts hosts, std::uint16_t port,
                        ServerOptions options = {}, const LoopOptions& loops = {}) {
  return detail::start_threads(threads, detail::a_copy_each(std::move(make_protocol)),
                               std::move(hosts), port, std::move(options), loops);
}

/// The same with a default-constructed P for each connection.
template <class P>
  requires(!detail::MakesProtocol<P>)
ThreadedServer serve_on(std::size_t threads, Hosts hosts, std::uint16_t port,
                        ServerOptions options = {}, const LoopOptions& loops = {}) {
  return serve_on(
      threads, [] { return std::make_shared<P>(); }, std::move(hosts), port, std::move(options),
      loops);
}

/// The same on the bound socket `options.sock`.
template <detail::MakesProtocol Factory>
  requires std::copy_constructible<Factory>
ThreadedServer serve_on(std::size_t threads, Factory make_protocol, ServerOptions options,
                        const LoopOptions& loops = {}) {
  return detail::start_threads(threads, detail::a_copy_each(std::move(make_protocol)), std::nullopt,
                               std::nullopt, std::move(options), loops);
}

}  // namespace weir::inline v0
