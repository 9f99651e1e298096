#include "demo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "demo_tls.h"
#include "demo_transports.h"
#include "echo_protocol.h"
#include "errors.h"
#include "load.h"
#include "outside_program.h"
#include "stream.h"
#include "terminal.h"
#include "url.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view greeting = "hello, weir\n";
/// Writing stops when the transport says so; this only ends it should that never come.
constexpr std::size_t most_written = std::size_t{64} * 1024 * 1024;

Url any_port() { return TcpUrl{{"127.0.0.1", 0}}; }

// --- One connection, seen at both ends -----------------------------------------------------------

/// Echoes the greeting; counts what comes after it, and sends the sum when the client has ended.
class CountingServer : public StreamProtocol {
 public:
  void stream_made(Stream stream) override { stream_ = std::move(stream); }

  void data_received(std::span<const std::byte> data) override {
    if (received_ < greeting.size()) stream_.write(data);
    received_ += data.size();
  }

  bool eof_received() override {
    stream_.write(weir::as_bytes(fmt::format("{} bytes came\n", format_count(received_))));
    return false;  // false closes, after what was written has been sent
  }

 private:
  Stream stream_;
  std::uint64_t received_ = 0;
};

/// Greets; then writes until it is told to pause, and ends when it is told to resume.
class FloodingClient : public StreamProtocol {
 public:
  explicit FloodingClient(weir::Future<> done) : done_(std::move(done)) {}

  void stream_made(Stream stream) override {
    stream_ = std::move(stream);
    stream_.write(weir::as_bytes(greeting));
  }

  void data_received(std::span<const std::byte>) override {
    if (!std::exchange(flooded_, true)) write_until_paused();
  }

  void pause_writing() override { paused_ = true; }
  void resume_writing() override { stream_.write_eof(); }
  void connection_lost(const weir::CloseReason&) override { done_.set_result(); }

 private:
  void write_until_paused() {
    const std::string block(std::size_t{256} * 1024, '.');
    for (std::size_t size = 0; !paused_ && size < most_written; size += block.size()) {
      stream_.write(weir::as_bytes(block));
    }
    if (!paused_) stream_.write_eof();
  }

  weir::Future<> done_;
  Stream stream_;
  bool flooded_ = false;
  bool paused_ = false;
};

// --- The demonstration ---------------------------------------------------------------------------

class Demo {
 public:
  explicit Demo(weir::BackendKind backend) : loop_({.backend = backend}) {}

  void run() {
    title();
    one_connection();
    every_transport();
    tls();
    echo_for_everybody();
    numbers();
    where_to_go();
  }

 private:
  void title() const;
  void heading(std::string_view text) const;
  void line(std::string_view text) const;
  void passed(std::string_view what, std::string_view details) const;
  std::string dim(std::string_view text) const { return terminal_.styled(Style::dim, text); }

  void one_connection();
  void every_transport();
  void tls();
  void echo_for_everybody();
  void many_clients();
  void outside_clients();
  bool outside_client(const std::vector<std::string>& command);
  void numbers();
  void where_to_go() const;

  LoadResult load(std::size_t connections, std::size_t bytes, std::size_t pipeline,
                  std::chrono::nanoseconds duration);
  bool simulated() const { return loop_.backend() == weir::BackendKind::simulated; }

  Terminal terminal_;
  Conversations conversations_;
  weir::EventLoop loop_;
  Url echo_ = any_port();  // where the echo server listens
};

void Demo::title() const {
  fmt::print("{} {}: asyncio's transports and protocols in C++, over {}\n",
             terminal_.styled(Style::bold, "weir"), weir::version(),
             simulated() ? "a simulated network" : weir::to_string(loop_.backend()));
}

void Demo::heading(std::string_view text) const {
  fmt::print("\n{}\n\n", terminal_.styled(Style::bold, text));
  std::fflush(stdout);
}

void Demo::line(std::string_view text) const {
  fmt::print("  {}\n", text);
  std::fflush(stdout);
}

void Demo::passed(std::string_view what, std::string_view details) const {
  line(fmt::format("{} {:<34} {}", terminal_.styled(Style::green, terminal_.pick("✓", "ok")), what,
                   details));
}

Url first_url(const weir::Server& server) {
  return url_at(any_port(), server.sockets().front().sockname);
}

void Demo::one_connection() {
  heading("One connection, callback by callback");
  const auto trace = std::make_shared<weir::Trace>();
  weir::EventLoop loop({.backend = loop_.backend(), .observers = {trace}});
  const weir::Server server =
      listen(loop, any_port(), [] { return std::make_shared<CountingServer>(); });
  const weir::Address address = server.sockets().front().sockname;
  const weir::Future<> done = loop.create_future();
  loop.run_until_complete(
      open_stream(loop, first_url(server), std::make_shared<FloodingClient>(done)));
  loop.run_until_complete(done);
  server.close();
  loop.run_until_complete(server.wait_closed());
  const auto name = [&](const weir::TracedTransport& transport) {
    return std::string(transport.sockname == address ? "server protocol" : "client protocol");
  };
  fmt::print("{}\n", weir::to_sequence_diagram(*trace, {.view = {.name = name},
                                                        .width = 80,
                                                        .unicode = terminal_.unicode(),
                                                        .colours = terminal_.colours()}));
  line(dim("The client writes faster than the server reads: pause_writing says when to stop, and"));
  line(dim("resume_writing when to go on. write_eof ends one direction; the answer still comes."));
}

void Demo::every_transport() {
  heading("Every transport, once");
  show_transports(loop_, [this](std::string_view kind, std::string_view details) {
    line(fmt::format("{} {:<12} {}", terminal_.styled(Style::green, terminal_.pick("✓", "ok")),
                     kind, details));
  });
  if (simulated()) line(dim("There is no program to start on a simulated network."));
}

void Demo::tls() {
  heading("TLS, with a certificate made for this demonstration");
  try {
    show_tls(loop_.backend(), [this](std::string_view what, std::string_view details) {
      line(fmt::format("{} {:<12} {}", terminal_.styled(Style::green, terminal_.pick("✓", "ok")),
                       what, details));
    });
  } catch (const weir::UnsupportedOperationError& error) {
    line(dim(error.what()));
  }
}

void Demo::echo_for_everybody() {
  heading("An echo server and its clients");
  const weir::Server server = serve_echo(loop_, any_port(), conversations_);
  echo_ = first_url(server);
  line(fmt::format("listening on {}", terminal_.styled(Style::bold, to_string(echo_))));
  many_clients();
  if (simulated()) {
    line(dim("No program outside can reach a simulated network: --backend epoll shows one."));
  } else {
    outside_clients();
  }
}

LoadResult Demo::load(std::size_t connections, std::size_t bytes, std::size_t pipeline,
                      std::chrono::nanoseconds duration) {
  LoadResult result = run_load(loop_, {.url = echo_,
                                       .connections = connections,
                                       .message_bytes = bytes,
                                       .pipeline = pipeline,
                                       .duration = duration});
  if (!result.error.empty()) {
    throw RunError(fmt::format("wrong echo from {}: {}; this is a bug in weir", to_string(echo_),
                               result.error));
  }
  return result;
}

void Demo::many_clients() {
  const LoadResult result = load(100, 16384, 1, simulated() ? 20ms : 300ms);
  passed("100 clients in this process",
         fmt::format("{} messages, {}: every byte came back", format_count(result.requests),
                     format_bytes(result.bytes_checked)));
}

void Demo::outside_clients() {
  const auto& [host, port] = static_cast<const HostAndPort&>(std::get<TcpUrl>(echo_));
  const bool told = outside_client({"nc", "-N", host, std::to_string(port)}) ||
                    outside_client({"socat", "-", fmt::format("TCP:{}:{}", host, port)});
  if (!told) {
    line(
        fmt::format("{} neither nc -N (netcat-openbsd) nor socat is installed: no client from "
                    "outside",
                    terminal_.styled(Style::yellow, "-")));
  }
}

/// False if the program is not there, or is another one of the same name.
bool Demo::outside_client(const std::vector<std::string>& command) {
  const auto result = run_program(loop_, command, greeting, 5s);
  if (!result || !result->succeeded || result->output != greeting) return false;
  passed(fmt::format("{}", fmt::join(command, " ")),
         fmt::format("another program: \"{}\" came back", greeting.substr(0, greeting.size() - 1)));
  return true;
}

void Demo::numbers() {
  heading(simulated() ? "Some numbers: of the simulated network, in its own time"
                      : "Some numbers: server and clients share one thread, half a second each");
  struct Case {
    std::size_t connections, bytes, pipeline;
  };
  static constexpr std::array<Case, 4> cases{
      {{1, 64, 1}, {100, 1024, 1}, {100, 65536, 1}, {10, 1024, 16}}};
  line(dim(fmt::format("{:>11} {:>8} {:>9} {:>12} {:>9} {:>10} {:>10}", "connections", "message",
                       "in flight", "requests/s", "MiB/s", "p50", "p99")));
  for (const Case& one : cases) {
    const LoadResult result =
        load(one.connections, one.bytes, one.pipeline, simulated() ? 20ms : 500ms);
    line(fmt::format("{:>11} {:>8} {:>9} {:>12} {:>9.1f} {:>10} {:>10}", one.connections,
                     format_bytes(one.bytes), one.pipeline,
                     format_count(static_cast<std::uint64_t>(result.requests_per_second())),
                     result.mib_per_second(), format_duration(result.latencies.quantile(0.5)),
                     format_duration(result.latencies.quantile(0.99))));
  }
}

void Demo::where_to_go() const {
  heading("Try it");
  line("weir echo tcp://127.0.0.1:8888                       " + dim("an echo server"));
  line("weir connect tcp://127.0.0.1:8888                    " + dim("talk to it"));
  line("weir bench tcp://127.0.0.1:8888 --connections 100    " + dim("load it, check every byte"));
  line("weir relay unix:/tmp/echo tcp://127.0.0.1:8888       " + dim("lead another way to it"));
  line("weir echo tls://127.0.0.1:4433                       " + dim("the same, encrypted"));
  line("weir connect 'tls://127.0.0.1:4433?insecure'         " + dim("trust it, for a test"));
}

}  // namespace

int run_demo(const DemoCommand& command) {
  Demo(command.backend).run();
  return exit_ok;
}

}  // namespace weir_tool
