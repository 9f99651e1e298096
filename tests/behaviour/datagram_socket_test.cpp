// Chapter 6: datagram sockets that the user opened [D18, D7], and Unix ones in the file system [D21].

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <weir/weir.h>

#include <cstddef>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "descriptor_support.h"
#include "every_datagram.h"
#include "loop_support.h"
#include "temporary_directory.h"

namespace weir::test {
namespace {

using Texts = std::vector<std::string>;

/// A pair of connected datagram sockets without names.
SocketPair unnamed_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error("no socket pair");
  }
  return {ends[0], ends[1]};
}

bool exists(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

/// Where there are descriptors.
class DatagramSocket : public DatagramTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override {
    open_datagrams({.backend = GetParam(), .kind = DatagramKind::unix_socket});
  }
  std::string failure(DatagramOptions options) {
    const auto future =
        create_datagram_endpoint(loop(), new_recorder().factory(), std::move(options));
    run_until([&] { return future.done(); });
    const std::string kind = outcome(future);
    return kind == "result" ? kind : kind + ": " + what(future.exception());
  }
};

INSTANTIATE_TEST_SUITE_P(Behaviour, DatagramSocket,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace

// D18, N9: a socket of the user's becomes the transport's, which closes it.
TEST_P(DatagramSocket, TakesAnOpenSocket) {
  SocketPair ends = unnamed_pair();
  const int number = ends.release_a();
  DatagramRecorder& recorder = open({.sock = number});
  EXPECT_EQ(recorder.transport.get_extra_info<SocketView>("socket").value().descriptor, number);
  ends.send_to_a("hello");
  wait_for(recorder, 1);
  recorder.transport.abort();
  run_until([&] { return recorder.lost() && recorder.protocols_alive == 0; });
  iterate(2);
  EXPECT_FALSE(is_open(number));
}

// D7: a peer without a name is a peer: no address is needed, and none may be given.
TEST_P(DatagramSocket, IsConnectedToAPeerWithoutAName) {
  SocketPair ends = unnamed_pair();
  DatagramRecorder& left = open({.sock = ends.release_a()});
  DatagramRecorder& right = open({.sock = ends.release_b()});
  EXPECT_EQ(left.transport.get_extra_info<Address>("peername"), std::nullopt);
  left.transport.sendto("question");
  wait_for(right, 1);
  right.transport.sendto("answer", right.senders.at(0));
  wait_for(left, 1);
  EXPECT_EQ(left.received, Texts{"answer"});
  EXPECT_THROW(left.transport.sendto("x", Address::unix_socket("/x")), std::invalid_argument);
  EXPECT_EQ(left.calls, calls("connection_made", "datagram_received:answer"));
}

// D18: what is no datagram socket stays the caller's.
TEST_P(DatagramSocket, RefusesWhatIsNoDatagramSocket) {
  const SocketPair streams;
  const std::string number = std::to_string(streams.a());
  EXPECT_EQ(failure({.sock = streams.a()}),
            "invalid_argument: descriptor " + number + " is not a datagram socket");
  EXPECT_TRUE(is_open(streams.a()));
  const TemporaryDirectory directory;
  const Descriptor file(::open(directory.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(failure({.sock = file.get()}),
            "invalid_argument: descriptor " + std::to_string(file.get()) + " is not a socket");
  EXPECT_TRUE(is_open(file.get()));
  EXPECT_EQ(failure({.sock = 9999}), "invalid_argument: descriptor 9999 is not open");
}

// D18: so does one with options that do not go with it.
TEST_P(DatagramSocket, LeavesASocketAloneOnMisuse) {
  const SocketPair ends = unnamed_pair();
  EXPECT_TRUE(failure({.reuse_port = true, .sock = ends.a()}).starts_with("invalid_argument"));
  EXPECT_TRUE(is_open(ends.a()));
}

// L30: one socket has one transport.
TEST_P(DatagramSocket, RefusesASocketThatIsInUse) {
  SocketPair ends = unnamed_pair();
  const int number = ends.release_a();
  open({.sock = number});
  EXPECT_TRUE(failure({.sock = number}).starts_with("WrongStateError"));
}

// D21: a stale socket file is removed before bind; the file stays when the transport closes.
TEST_P(DatagramSocket, ReplacesAStaleSocketFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("socket");
  for (int round = 0; round < 2; ++round) {
    DatagramRecorder& recorder = open({.local_path = path});
    EXPECT_EQ(recorder.address(), Address::unix_socket(path));
    recorder.transport.abort();
    run_until([&] { return recorder.protocols_alive == 0; });
    iterate(2);
    EXPECT_TRUE(exists(path)) << "round " << round;
  }
}

// D21: any other file is left alone.
TEST_P(DatagramSocket, LeavesOtherFilesAlone) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("precious");
  std::ofstream(path) << "text";
  EXPECT_EQ(failure({.local_path = path}),
            "Address already in use: bind to " + path + ": Address already in use");
  EXPECT_TRUE(exists(path));
}

// D21: abstract names leave nothing behind.
TEST_P(DatagramSocket, BindsAbstractNames) {
  const std::string name = std::string(1, '\0') + "weir-test" + new_socket_path();
  DatagramRecorder& right = open({.local_path = name});
  DatagramRecorder& left = open({.remote_path = name});
  left.transport.sendto("hello");
  wait_for(right, 1);
  EXPECT_EQ(right.address().path(), name);
}

// A path that cannot be is told as such.
TEST_P(DatagramSocket, RefusesImpossiblePaths) {
  EXPECT_TRUE(failure({.local_path = ""}).starts_with("invalid_argument"));
  EXPECT_TRUE(failure({.local_path = std::string(200, 'x')}).starts_with("File name too long"));
  EXPECT_EQ(failure({.local_path = "/no such directory/socket"}),
            "No such file or directory: bind to /no such directory/socket: No such file or "
            "directory");
}

}  // namespace weir::test
