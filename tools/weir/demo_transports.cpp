#include "demo_transports.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "echo_protocol.h"
#include "errors.h"
#include "stream.h"
#include "terminal.h"
#include "url.h"

namespace weir_tool {
namespace {

constexpr std::string_view greeting = "hello, weir";

/// Says its greeting and listens until the end. Of a stream of any kind.
class Greeter : public StreamProtocol {
 public:
  explicit Greeter(weir::Future<std::string> answer) : answer_(std::move(answer)) {}

  void stream_made(Stream stream) override {
    stream.write(weir::as_bytes(greeting));
    stream.write_eof();
  }
  void data_received(std::span<const std::byte> data) override { heard_ += weir::as_text(data); }
  void connection_lost(const weir::CloseReason&) override { answer_.set_result(heard_); }

 private:
  weir::Future<std::string> answer_;
  std::string heard_;
};

/// The same in one datagram.
class DatagramGreeter : public weir::DatagramProtocol {
 public:
  explicit DatagramGreeter(weir::Future<std::string> answer) : answer_(std::move(answer)) {}

  void connection_made(weir::DatagramTransport transport) override { transport.sendto(greeting); }
  void datagram_received(std::span<const std::byte> data, const weir::Address&) override {
    if (!answer_.done()) answer_.set_result(std::string(weir::as_text(data)));
  }

 private:
  weir::Future<std::string> answer_;
};

class Listener : public weir::Protocol {
 public:
  explicit Listener(weir::Future<std::string> answer) : answer_(std::move(answer)) {}

  void data_received(std::span<const std::byte> data) override { heard_ += weir::as_text(data); }
  void connection_lost(const weir::CloseReason&) override { answer_.set_result(heard_); }

 private:
  weir::Future<std::string> answer_;
  std::string heard_;
};

class Transports {
 public:
  using Passed = std::function<void(std::string_view, std::string_view)>;

  Transports(weir::EventLoop& loop, const Passed& passed) : loop_(loop), passed_(passed) {}

  void tcp() { socket("TCP", TcpUrl{{"127.0.0.1", 0}}); }

  void unix_socket() {
    const std::string name = simulated() ? "weir-demo" : fmt::format("weir-demo-{}", getpid());
    socket("Unix socket", UnixUrl{std::string(1, '\0') + name});
  }

  void udp() {
    begin();
    const weir::DatagramTransport server = echo_datagrams(loop_, UdpUrl{{"127.0.0.1", 0}});
    const weir::Address address =
        server.get_extra_info<weir::Address>("sockname").value_or(weir::Address());
    const UdpUrl url{{address.host(), address.port()}};
    const auto client = loop_.run_until_complete(weir::create_datagram_endpoint(
        loop_, [&] { return std::make_unique<DatagramGreeter>(answer_); },
        {.remote_addr = weir::LocalAddress{url.host, url.port}}));
    end("UDP", fmt::format("to {} and back", to_string(url)));
    client.transport.close();
    server.close();
  }

  void pipe() {
    begin();
    const auto [reader, writer] = new_pipe();
    loop_.run_until_complete(weir::connect_read_pipe(
        loop_, [&] { return std::make_unique<Listener>(answer_); }, reader));
    const auto output =
        loop_.run_until_complete(weir::connect_write_pipe<weir::BaseProtocol>(loop_, writer));
    output.transport.write(greeting);
    output.transport.write_eof();
    end("pipe", "in at one end, out at the other");
  }

  void subprocess() {
    begin();
    const Url url = ExecUrl{R"(read it; printf %s "$it")"};
    loop_.run_until_complete(open_stream(loop_, url, std::make_shared<Greeter>(answer_)));
    end("subprocess", fmt::format("from {}", to_string(url)));
  }

  bool simulated() const { return loop_.backend() == weir::BackendKind::simulated; }

 private:
  void socket(std::string_view kind, const Url& listen_url) {
    begin();
    Conversations conversations;
    const weir::Server server = serve_echo(loop_, listen_url, conversations);
    const Url url = url_at(listen_url, server.sockets().front().sockname);
    loop_.run_until_complete(open_stream(loop_, url, std::make_shared<Greeter>(answer_)));
    end(kind, fmt::format("to {} and back", to_string(url)));
    server.close();
    loop_.run_until_complete(server.wait_closed());
  }

  std::pair<int, int> new_pipe() {
    if (simulated()) {
      const weir::SimulatedPipe pipe = weir::simulated_pipe(loop_);
      return {pipe.read_end, pipe.write_end};
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe");
    }
    return {ends[0], ends[1]};
  }

  void begin() {
    answer_ = loop_.create_future<std::string>();
    began_ = loop_.time();
  }

  void end(std::string_view kind, std::string_view way) {
    const std::string answer = loop_.run_until_complete(answer_);
    if (answer != greeting) {
      throw RunError(fmt::format("wrong answer over {}: '{}', not '{}'; this is a bug in weir",
                                 kind, answer, greeting));
    }
    passed_(kind,
            fmt::format("\"{}\" {} in {}", answer, way, format_duration(loop_.time() - began_)));
  }

  weir::EventLoop& loop_;
  const Passed& passed_;
  weir::Future<std::string> answer_;
  weir::EventLoop::TimePoint began_;
};

}  // namespace

void show_transports(
    weir::EventLoop& loop,
    const std::function<void(std::string_view kind, std::string_view details)>& passed) {
  Transports transports(loop, passed);
  transports.tcp();
  transports.unix_socket();
  transports.udp();
  transports.pipe();
  if (!transports.simulated()) transports.subprocess();
}

}  // namespace weir_tool
