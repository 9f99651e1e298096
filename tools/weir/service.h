// A command that serves: from the first "listening" line to the last connection.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <vector>

#include "conversations.h"
#include "notices.h"
#include "stream.h"
#include "url.h"

namespace weir_tool {

/// Services of other threads, which go on with this one and stop with it.
class Company {
 public:
  virtual std::size_t open() = 0;
  virtual void stop() = 0;
  virtual bool is_done() const = 0;

 protected:
  ~Company() = default;
};

/// Who is told to stop by a signal.
enum class Hears : bool { nothing, signals };

/// Serves endpoints until there is no more to serve: a signal ends sockets, and standard input and
/// output end by themselves.
class Service {
 public:
  /// If it hears signals, handles SIGINT and SIGTERM from now on.
  Service(weir::EventLoop& loop, double grace_seconds, Hears hears = Hears::signals);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service();

  weir::EventLoop& loop() const { return loop_; }
  Conversations& conversations() { return conversations_; }
  const Conversations& conversations() const { return conversations_; }
  Notices& notices() { return notices_; }

  /// Has a protocol made for each connection to `url`, and for standard input and output one.
  /// Throws RunError.
  void serve(const Url& url, const StreamFactory& factory);
  /// Has one made for each connection that is accepted here of those to `url`, where another loop listens.
  void serve_along(const Url& url, int socket, const StreamFactory& factory);
  /// Closes `endpoint` when it stops to listen.
  void serve(weir::DatagramTransport endpoint) { endpoints_.push_back(endpoint); }

  /// Calls `callback` for each socket that streams are accepted from.
  void for_each_socket(
      const std::function<void(const Url&, const weir::SocketView&)>& callback) const;
  /// Null: it is alone. `company` is done before it is gone.
  void set_company(Company* company) { company_ = company; }

  /// Prints "listening on URL" for each socket, on standard output or error.
  void announce(std::FILE* where) const;
  /// Runs until a signal and the last conversation, or until there is nothing left to serve.
  void run();

  /// Takes no more connections.
  void stop_listening();
  /// The first call lets conversations finish, the second one ends them.
  void stop();
  /// Ends run() if there is nothing left.
  void finish_if_done();

 private:
  void end_of_grace();
  bool listens() const { return !servers_.empty() || !endpoints_.empty(); }

  weir::EventLoop& loop_;
  std::chrono::duration<double> grace_;
  const Hears hears_;
  Company* company_ = nullptr;
  weir::Future<> finished_;
  Conversations conversations_;
  Notices notices_;
  struct Listening {
    Url url;
    weir::Server server;
  };
  std::vector<Listening> servers_;
  std::vector<weir::DatagramTransport> endpoints_;
  bool stopping_ = false;
};

}  // namespace weir_tool
