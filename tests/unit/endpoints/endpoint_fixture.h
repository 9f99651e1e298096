#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <weir/weir.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace weir {

/// Writes down what is called.
class Recorder : public Protocol {
 public:
  explicit Recorder(std::vector<std::string>& calls) : calls_(calls) {}

  void connection_made(Transport made) override {
    transport = made;
    calls_.emplace_back("made");
  }
  void data_received(std::span<const std::byte> data) override {
    calls_.emplace_back(as_text(data));
  }
  void connection_lost(const CloseReason& reason) override {
    calls_.push_back(reason ? "lost: " + reason.message() : "lost");
  }

  Transport transport;

 private:
  std::vector<std::string>& calls_;
};

/// A loop over each backend that has a network: the rules are the same. Fails if the test leaves
/// something reported behind.
class EndpointTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  EndpointTest() : loop({.backend = GetParam()}) {
    loop.set_debug(true);
    loop.set_slow_callback_duration(std::chrono::hours(1));
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
    });
  }

  ~EndpointTest() override { loop.close(); }

  /// Runs the loop until `condition` holds; fails the test if that takes too long.
  template <class Condition>
  void run_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the condition does not come true";
        return;
      }
      loop.run_once(std::chrono::milliseconds(10));
    }
  }

  /// Runs what is ready, and what that makes ready, for some turns.
  void settle() {
    for (int turn = 0; turn < 20; ++turn) loop.run_once(std::chrono::milliseconds(1));
  }

  auto client_factory() {
    return [this] { return std::make_shared<Recorder>(client_calls); };
  }
  auto server_factory() {
    return [this] {
      auto made = std::make_shared<Recorder>(server_calls);
      server_protocols.push_back(made);
      return made;
    };
  }

  /// A server on a free port of 127.0.0.1.
  Server serve(ServerOptions options = {}) {
    return loop.run_until_complete(create_server(loop, server_factory(), "127.0.0.1", 0, options));
  }

  static Address address_of(const Server& server) { return server.sockets().at(0).sockname; }
  static std::uint16_t port_of(const Server& server) { return address_of(server).port(); }

  /// A port of 127.0.0.1 where nobody listens.
  std::uint16_t unused_port() {
    const Server server = serve({.start_serving = false});
    const std::uint16_t port = port_of(server);
    server.close();
    return port;
  }

  Connection<Recorder> connect(std::uint16_t port, ConnectOptions options = {}) {
    return loop.run_until_complete(
        create_connection(loop, client_factory(), "127.0.0.1", port, std::move(options)));
  }

  /// What the text of the error of `future` is, once it is done; empty if it has none.
  template <class Error = std::system_error, class T>
  std::string error_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    try {
      static_cast<void>(future.result());
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  EventLoop loop;
  std::vector<std::string> reports;
  std::vector<std::string> client_calls;
  std::vector<std::string> server_calls;
  std::vector<std::shared_ptr<Recorder>> server_protocols;
};

inline std::string backend_name(const ::testing::TestParamInfo<BackendKind>& kind) {
  return std::string(to_string(kind.param));
}

}  // namespace weir
