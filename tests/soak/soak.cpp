// weir_soak [ROUNDS]: uses every transport over and over, on a loop that stays and on one that goes each
// round, and ends with an error if descriptors, children or memory are more at the end than they were once
// everything had been used. `make soak` runs it for long, the tests for a few rounds.
#include <weir/weir.h>

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int warm_up_rounds = 20;
constexpr int connections = 8;
/// What the pools of the C library and of the loop may differ by from one round to the next.
constexpr std::int64_t memory_slack = std::int64_t{64} * 1024;

struct Usage {
  std::int64_t descriptors = 0;
  std::int64_t children = 0;
  std::int64_t memory = 0;  // bytes in use
};

Usage usage() {
  namespace fs = std::filesystem;
  Usage now;
  now.descriptors =
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  siginfo_t info{};
  const bool none = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
  now.children = none ? 0 : 1;
  now.memory = static_cast<std::int64_t>(mallinfo2().uordblks);
  return now;
}

std::vector<std::byte> message(std::size_t size) { return std::vector(size, std::byte{'m'}); }

struct Echo : weir::Protocol {
  void connection_made(weir::Transport made) override { transport = made; }
  void data_received(std::span<const std::byte> data) override { transport.write(data); }
  void pause_writing() override { transport.pause_reading(); }
  void resume_writing() override { transport.resume_reading(); }
  weir::Transport transport;
};

/// Sends a message and wants it back; or, if `gives_up`, aborts at the first byte of the answer.
struct Client : weir::Protocol {
  Client(weir::Future<> end, std::size_t bytes, bool aborts)
      : ended(std::move(end)), size(bytes), gives_up(aborts) {}
  void connection_made(weir::Transport made) override {
    transport = made;
    transport.write(message(size));
  }
  void data_received(std::span<const std::byte> data) override {
    received += data.size();
    if (gives_up) return transport.abort();
    if (received == size) transport.write_eof();
  }
  void connection_lost(const weir::CloseReason&) override {
    if (gives_up || received == size) return ended.set_result();
    ended.set_exception(std::make_exception_ptr(std::runtime_error("bytes were lost")));
  }
  weir::Future<> ended;
  std::size_t size;
  std::size_t received = 0;
  bool gives_up;
  weir::Transport transport;
};

/// `connect(factory)` opens a connection to an echo server.
template <class Connect>
void use_streams(weir::EventLoop& loop, weir::Server server, Connect connect) {
  std::vector<weir::Future<>> ends;
  for (int i = 0; i < connections; ++i) {
    const weir::Future<> ended = loop.create_future();
    ends.push_back(ended);
    const std::size_t size = std::size_t{1} << (4 + 2 * i);  // up to 256 KiB
    loop.run_until_complete(
        connect([=] { return std::make_unique<Client>(ended, size, i % 3 == 2); }));
  }
  for (const weir::Future<>& end : ends) loop.run_until_complete(end);
  server.close();
  loop.run_until_complete(server.wait_closed());
}

void use_tcp(weir::EventLoop& loop) {
  auto server = loop.run_until_complete(weir::create_server<Echo>(loop, "127.0.0.1", 0));
  const std::uint16_t port = server.sockets().at(0).sockname.port();
  use_streams(loop, server, [&](auto factory) {
    return weir::create_connection(loop, factory, "127.0.0.1", port);
  });
}

void use_unix(weir::EventLoop& loop, const std::string& path) {
  auto server = loop.run_until_complete(weir::create_unix_server<Echo>(loop, path));
  use_streams(loop, server,
              [&](auto factory) { return weir::create_unix_connection(loop, factory, path); });
}

struct EchoDatagrams : weir::DatagramProtocol {
  void connection_made(weir::DatagramTransport made) override { transport = made; }
  void datagram_received(std::span<const std::byte> data, const weir::Address& sender) override {
    transport.sendto(data, sender);
  }
  weir::DatagramTransport transport;
};

struct DatagramClient : weir::DatagramProtocol {
  explicit DatagramClient(weir::Future<> end) : answered(std::move(end)) {}
  void datagram_received(std::span<const std::byte>, const weir::Address&) override {
    if (!answered.done()) answered.set_result();
  }
  weir::Future<> answered;
};

void use_udp(weir::EventLoop& loop) {
  weir::DatagramOptions at_server;
  at_server.local_addr = {"127.0.0.1", 0};
  auto server =
      loop.run_until_complete(weir::create_datagram_endpoint<EchoDatagrams>(loop, at_server));
  const auto address = server.transport.get_extra_info<weir::Address>("sockname");
  weir::DatagramOptions at_client;
  at_client.remote_addr = {"127.0.0.1", address->port()};
  const weir::Future<> answered = loop.create_future();
  auto client = loop.run_until_complete(weir::create_datagram_endpoint(
      loop, [&] { return std::make_unique<DatagramClient>(answered); }, at_client));
  for (int i = 0; i < 100; ++i) client.transport.sendto(message(static_cast<std::size_t>(i)));
  client.transport.sendto(message(65'508));  // too large: an error, and no end
  loop.run_until_complete(answered);
  client.transport.close();
  server.transport.abort();
}

struct Reader : weir::Protocol {
  explicit Reader(weir::Future<> end) : ended(std::move(end)) {}
  void connection_lost(const weir::CloseReason&) override { ended.set_result(); }
  weir::Future<> ended;
};

void use_pipes(weir::EventLoop& loop) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const weir::Future<> ended = loop.create_future();
  loop.run_until_complete(weir::connect_read_pipe(
      loop, [&] { return std::make_unique<Reader>(ended); }, ends[0]));
  auto writer =
      loop.run_until_complete(weir::connect_write_pipe<weir::BaseProtocol>(loop, ends[1]));
  writer.transport.write(message(200'000));
  writer.transport.write_eof();
  loop.run_until_complete(ended);
}

struct Parent : weir::SubprocessProtocol {
  explicit Parent(weir::Future<> end) : ended(std::move(end)) {}
  void connection_lost(const weir::CloseReason&) override { ended.set_result(); }
  weir::Future<> ended;
};

void use_subprocesses(weir::EventLoop& loop) {
  for (const bool killed : {false, true}) {
    const weir::Future<> ended = loop.create_future();
    auto child = loop.run_until_complete(
        weir::subprocess_exec(loop, [&] { return std::make_unique<Parent>(ended); }, {"cat"}));
    const weir::Transport input = *child.transport.get_pipe_transport(0);
    input.write(message(100'000));
    killed ? child.transport.kill() : input.write_eof();
    loop.run_until_complete(ended);
  }
  const weir::Future<> never = loop.create_future();
  auto failed = weir::subprocess_exec(loop, [&] { return std::make_unique<Parent>(never); },
                                      {"/no/such/program"});
  try {
    loop.run_until_complete(failed);
  } catch (const std::system_error&) {
    return;
  }
  throw std::runtime_error("a program that is not there was started");
}

void use_files(weir::EventLoop& loop, const std::string& path) {
  auto server = loop.run_until_complete(weir::create_server<weir::Protocol>(loop, "127.0.0.1", 0));
  auto client = loop.run_until_complete(weir::create_connection<weir::Protocol>(
      loop, "127.0.0.1", server.sockets().at(0).sockname.port()));
  const weir::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  loop.run_until_complete(weir::sendfile(loop, client.transport, file.get()));
  client.transport.close();
  server.close();
  loop.run_until_complete(server.wait_closed());
}

void use_rest(weir::EventLoop& loop) {
  const weir::Future<> heard = loop.create_future();
  loop.add_signal_handler(SIGUSR1, [&] { heard.set_result(); });
  ::raise(SIGUSR1);
  loop.run_until_complete(heard);
  loop.remove_signal_handler(SIGUSR1);
  if (loop.run_until_complete(weir::run_in_executor(loop, [] { return 42; })) != 42) {
    throw std::runtime_error("an executor gave a wrong result");
  }
}

void use_all(weir::EventLoop& loop, const std::string& directory) {
  use_tcp(loop);
  use_unix(loop, directory + "/socket");
  use_udp(loop);
  use_pipes(loop);
  use_subprocesses(loop);
  use_files(loop, "/proc/self/exe");
  use_rest(loop);
}

void round(weir::EventLoop& staying, const std::string& directory) {
  use_all(staying, directory);
  weir::EventLoop going;
  use_all(going, directory);
  // It goes with a server and a child that nobody has closed.
  const weir::Future<> never = going.create_future();
  going.run_until_complete(weir::create_server<Echo>(going, "127.0.0.1", 0));
  going.run_until_complete(
      weir::subprocess_exec(going, [&] { return std::make_unique<Parent>(never); }, {"cat"}));
}

int soak(int rounds, const std::string& directory) {
  weir::EventLoop staying;
  for (int i = 0; i < warm_up_rounds; ++i) round(staying, directory);
  const Usage before = usage();
  for (int i = 0; i < rounds; ++i) round(staying, directory);
  const Usage after = usage();
  std::printf("%-12s %12s %12s\n", "", "before", "after");
  const auto row = [](const char* name, std::int64_t then, std::int64_t now) {
    std::printf("%-12s %12lld %12lld\n", name, static_cast<long long>(then),
                static_cast<long long>(now));
  };
  row("descriptors", before.descriptors, after.descriptors);
  row("children", before.children, after.children);
  row("memory", before.memory, after.memory);
  const bool equal = before.descriptors == after.descriptors && after.children == 0 &&
                     after.memory <= before.memory + memory_slack;
  std::printf("%d rounds: %s\n", rounds, equal ? "nothing leaked" : "SOMETHING LEAKED");
  return equal ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 1000;
  std::string directory = std::filesystem::temp_directory_path() / "weir-soak-XXXXXX";
  if (rounds <= 0 || ::mkdtemp(directory.data()) == nullptr) {
    std::fprintf(stderr, "usage: weir_soak [ROUNDS]; it needs a temporary directory\n");
    return 2;
  }
  int status = 1;
  try {
    status = soak(rounds, directory);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weir_soak: %s\n", error.what());
  }
  std::filesystem::remove_all(directory);
  return status;
}
