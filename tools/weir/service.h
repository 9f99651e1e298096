// A command that serves: from the first "listening" line to the last connection.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <cstdio>
#include <vector>

#include "conversations.h"
#include "notices.h"
#include "stream.h"
#include "url.h"

namespace weir_tool {

/// Serves endpoints until there is no more to serve: a signal ends sockets, and standard input and
/// output end by themselves.
class Service {
 public:
  /// Handles SIGINT and SIGTERM from now on.
  Service(weir::EventLoop& loop, double grace_seconds);
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
  /// Closes `endpoint` when it stops to listen.
  void serve(weir::DatagramTransport endpoint) { endpoints_.push_back(endpoint); }

  /// Prints "listening on URL" for each socket, on standard output or error.
  void announce(std::FILE* where) const;
  /// Runs until a signal and the last conversation, or until there is nothing left to serve.
  void run();

  /// Takes no more connections.
  void stop_listening();

 private:
  /// The first call lets conversations finish, the second one ends them.
  void stop();
  void end_of_grace();
  void finish_if_done();
  bool listens() const { return !servers_.empty() || !endpoints_.empty(); }

  weir::EventLoop& loop_;
  std::chrono::duration<double> grace_;
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
