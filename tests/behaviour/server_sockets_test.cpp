#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "endpoint_support.h"

// What only servers with real sockets can show: V4, V6, V7, N5.
namespace weir::test {
namespace {

class ServerSockets : public EveryEndpoint {
 protected:
  static int option_of(const Server& server, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    EXPECT_EQ(getsockopt(server.sockets().at(0).descriptor, SOL_SOCKET, name, &value, &length), 0);
    return value;
  }

  /// A connection by the system's own calls, which waits to be accepted.
  static Descriptor connected_to(std::uint16_t port) {
    Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return client;
  }
};

// V4: reuse_address is on, reuse_port and keep_alive are off, unless told otherwise.
TEST_P(ServerSockets, HaveTheirOptionsSet) {
  const Server plain = listen();
  const Server special =
      listen("127.0.0.1", 0, {.reuse_address = false, .reuse_port = true, .keep_alive = true});
  EXPECT_NE(option_of(plain, SO_REUSEADDR), 0);
  EXPECT_EQ(option_of(plain, SO_REUSEPORT), 0);
  EXPECT_EQ(option_of(plain, SO_KEEPALIVE), 0);
  EXPECT_EQ(option_of(special, SO_REUSEADDR), 0);
  EXPECT_NE(option_of(special, SO_REUSEPORT), 0);
  EXPECT_NE(option_of(special, SO_KEEPALIVE), 0);
}

// V6: connections that wait are accepted together, backlog + 1 at the most in one iteration.
TEST_P(ServerSockets, AcceptWhatWaitsTogether) {
  for (const auto& [backlog, at_once] : {std::pair(100, 6), std::pair(2, 3)}) {
    accepted.clear();
    const Server server = listen("127.0.0.1", 0, {.backlog = backlog, .start_serving = false});
    ASSERT_EQ(::listen(server.sockets()[0].descriptor, 100), 0);
    std::vector<Descriptor> waiting;
    for (int i = 0; i < 6; ++i) waiting.push_back(connected_to(port_of(server)));
    run_until_done(server.start_serving());
    for (int seen = at_once; seen <= 6; seen += at_once) {
      iterate(1);
      EXPECT_EQ(accepted.size(), static_cast<std::size_t>(seen));
    }
    server.close();
    server.abort_clients();
    run_until([&] { return RecordingProtocol::alive == 0; });
    for (const Recorder& recorder : accepted) {
      EXPECT_EQ(recorder.calls, calls("connection_made", "connection_lost"));
    }
  }
}

// V6: accepted sockets are non-blocking and not inherited; nor are the others.
TEST_P(ServerSockets, AreNonBlockingAndNotInherited) {
  const Server server = listen();
  const Recorder& client = connect(port_of(server));
  const auto descriptor_of = [](const Recorder& end) {
    return end.transport.get_extra_info<SocketView>("socket").value().descriptor;
  };
  for (const int descriptor : {descriptor_of(client), descriptor_of(accepted.at(0)),
                               server.sockets().at(0).descriptor, loop().poll_descriptor()}) {
    EXPECT_NE(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
    if (descriptor != loop().poll_descriptor()) {
      EXPECT_NE(fcntl(descriptor, F_GETFL) & O_NONBLOCK, 0);
    }
  }
}

// V7: out of descriptors, accepting is reported and pauses; it resumes, and the connection that
// waited is served.
TEST_P(ServerSockets, AcceptLaterWithoutDescriptors) {
  const Server server = listen();
  const Descriptor client = connected_to(port_of(server));
  send(client.get(), "patient");
  Calls reports;
  {
    const NoMoreDescriptors limit;
    run_until([&] { return !(reports = take_reports()).empty(); });
    iterate(20);
    EXPECT_EQ(take_reports(), Calls()) << "accepting did not pause";
  }
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_TRUE(reports[0].starts_with("socket.accept() out of system resource")) << reports[0];
  EXPECT_TRUE(server.is_serving());
  run_until([&] { return accepted.size() == 1 && accepted[0].received == "patient"; });
}

// V7: a server that is closed while accepting pauses does not resume.
TEST_P(ServerSockets, AcceptNothingOnceClosedWhilePaused) {
  const Server server = listen();
  const Descriptor client = connected_to(port_of(server));
  {
    const NoMoreDescriptors limit;
    run_until([&] { return !take_reports().empty(); });
  }
  server.close();
  EXPECT_EQ(loop().next_deadline(), std::nullopt);
  EXPECT_EQ(outcome_of(server.wait_closed()), "result");
  EXPECT_EQ(accepted.size(), 0U);
}

// V7: the exception handler may close the server it hears of.
TEST_P(ServerSockets, MayBeClosedByTheHandlerThatHearsOfThem) {
  const Server server = listen();
  const Descriptor client = connected_to(port_of(server));
  bool told = false;
  loop().set_exception_handler([&](EventLoop&, const ExceptionContext&) {
    told = true;
    server.close();
  });
  {
    const NoMoreDescriptors limit;
    run_until([&] { return told; });
  }
  EXPECT_EQ(loop().next_deadline(), std::nullopt);
  EXPECT_FALSE(server.is_serving());
}

// V6: a connection that is reset before it is accepted harms nobody.
TEST_P(ServerSockets, SkipConnectionsThatAreGone) {
  const Server server = listen();
  {
    const Descriptor gone = connected_to(port_of(server));
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(gone.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  const Descriptor next = connected_to(port_of(server));
  send(next.get(), "next");
  run_until([&] { return !accepted.empty() && accepted.back().received == "next"; });
}

// N5: without descriptors left connecting fails with that error, and works again later.
TEST_P(ServerSockets, AreMissingWithoutDescriptors) {
  const Server server = listen();
  {
    const NoMoreDescriptors limit;
    EXPECT_EQ(try_to_connect(port_of(server)),
              std::make_error_code(std::errc::too_many_files_open).message());
    EXPECT_EQ(outcome_of(start_listening("127.0.0.1", 0)),
              std::make_error_code(std::errc::too_many_files_open).message());
  }
  EXPECT_EQ(try_to_connect(port_of(server)), "result");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, ServerSockets,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
