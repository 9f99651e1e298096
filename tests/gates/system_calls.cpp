// weir_system_calls_gate BACKEND CONNECTIONS (1 or 100): system calls for each message that an echo server takes and
// answers.
//
// The server has a thread of its own, each of whose system calls is reported to the main thread and held until that
// lets it go on (seccomp's user notification). Unlike a tracer this needs no permission, no program and no second
// process. It also makes the load exact: while the server is held on its way into a wait, one message is written to
// each connection, so that every turn of the loop finds them all. The count is the same in every run.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/weir.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "echo_connections.h"
#include "gate.h"

namespace {

using namespace weir;

constexpr std::size_t message_size = 1024;
/// The difference between the two leaves out what starting and accepting cost.
constexpr std::size_t few_rounds = 20;
constexpr std::size_t many_rounds = 120;

/// For each message, in turns that find one of each connection, with a little slack. epoll: it is received and sent, and
/// one wait is for all of them. io_uring: the call that sends the answers of the last turn waits for the next; of what a
/// hundred connections received, a kernel may hand over some at a time.
double bound(BackendKind backend, std::size_t connections) {
  const bool alone = connections == 1;
  if (backend == BackendKind::epoll) return alone ? 3.005 : 2.015;
  return alone ? 1.05 : 0.04;
}

// --- Counting -------------------------------------------------------------------------------------

using Counts = std::map<int, std::size_t>;  // by the number of the call

/// Has all calls of this thread reported through the descriptor that it returns.
int report_system_calls() {
  std::array<sock_filter, 1> report{sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
  const sock_fprog filter{.len = report.size(), .filter = report.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

bool is_known_here() {
  seccomp_notif_sizes sizes{};
  return ::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0 &&
         sizes.seccomp_notif <= sizeof(seccomp_notif) &&
         sizes.seccomp_notif_resp <= sizeof(seccomp_notif_resp);
}

std::string name_of(int call) {
  switch (call) {
    case SYS_recvfrom: return "recvfrom";
    case SYS_sendto: return "sendto";
    case SYS_epoll_wait: return "epoll_wait";
    case SYS_epoll_pwait: return "epoll_pwait";
    case SYS_epoll_pwait2: return "epoll_pwait2";
    case SYS_epoll_ctl: return "epoll_ctl";
    case SYS_io_uring_enter: return "io_uring_enter";
    default: return "call " + std::to_string(call);
  }
}

bool may_wait(int call) {
  return call == SYS_epoll_wait || call == SYS_epoll_pwait || call == SYS_epoll_pwait2 ||
         call == SYS_io_uring_enter;
}

// --- The server and its load ----------------------------------------------------------------------

/// What the thread of the server tells the main one. It may wait for nothing there: its calls are held.
struct ServerThread {
  std::atomic<int> reports = -1;  ///< -1: not yet; below: none could be had, for that reason
  std::uint16_t port = 0;         ///< set before `reports`, as is the next
  EventLoop* loop = nullptr;

  void run(BackendKind backend) {
    EventLoop own({.backend = backend});
    const auto server = own.run_until_complete(create_server<gate::Echo>(own, "127.0.0.1", 0));
    port = server.sockets().at(0).sockname.port();
    loop = &own;
    const int descriptor = report_system_calls();
    reports = descriptor >= 0 ? descriptor : -1 - errno;
    if (descriptor >= 0) own.run_forever();
  }
};

/// Plain sockets, of which each has at most two messages on their way.
class Load {
 public:
  void connect(std::size_t connections, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    for (std::size_t i = 0; i < connections; ++i) {
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw std::system_error(errno, std::system_category(), "connect");
      }
      clients_.push_back({.socket = client});
    }
  }
  ~Load() {
    for (const Client& client : clients_) ::close(client.socket);
  }

  /// Takes the answers that are there, and writes the next messages.
  void step() {
    for (Client& client : clients_) {
      const ssize_t size = ::recv(client.socket, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (size > 0) client.received += static_cast<std::size_t>(size);
      answered_ += size > 0 ? static_cast<std::size_t>(size) : 0;
      if (client.sent - client.received > message_size) continue;
      if (::send(client.socket, buffer_.data(), message_size, MSG_NOSIGNAL) !=
          static_cast<ssize_t>(message_size)) {
        throw std::system_error(errno, std::system_category(), "send");
      }
      client.sent += message_size;
    }
  }
  std::size_t messages_answered() const { return answered_ / message_size; }

 private:
  struct Client {
    int socket = -1;
    std::size_t sent = 0;
    std::size_t received = 0;
  };

  std::vector<Client> clients_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(2 * message_size);
  std::size_t answered_ = 0;
};

struct Snapshot {
  Counts counts;
  std::size_t messages = 0;
};

/// The thread's next call, held; false if there is none for a while.
bool next_call(int reports, seccomp_notif& call) {
  pollfd watched{.fd = reports, .events = POLLIN, .revents = 0};
  if (::poll(&watched, 1, 20) <= 0) return false;
  call = {};
  return ::ioctl(reports, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0;
}

void let_go_on(int reports, const seccomp_notif& call) {
  seccomp_notif_resp answer{};
  answer.id = call.id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  if (::ioctl(reports, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 || errno == ENOENT) return;
  gate::skip("this kernel cannot let a reported system call go on, Linux 5.5 is needed");
}

/// Drives the server until its thread is over.
std::vector<Snapshot> count_calls(const ServerThread& server, std::size_t connections) {
  Load load;
  load.connect(connections, server.port);
  std::vector<Snapshot> snapshots;
  Counts counts;
  seccomp_notif call{};
  do {
    if (!next_call(server.reports, call)) {
      load.step();  // whoever waited for bytes that come late
      continue;
    }
    if (may_wait(call.data.nr)) {
      const std::size_t messages = load.messages_answered();
      const std::size_t rounds = snapshots.empty() ? few_rounds : many_rounds;
      if (snapshots.size() < 2 && messages >= rounds * connections) {
        snapshots.push_back({counts, messages});
        if (snapshots.size() == 2) {
          server.loop->call_soon_threadsafe([loop = server.loop] { loop->stop(); });
        }
      }
      if (snapshots.size() < 2) load.step();
    }
    ++counts[call.data.nr];
    let_go_on(server.reports, call);
  } while (call.data.nr != SYS_exit);
  return snapshots;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: weir_system_calls_gate epoll|uring 1|100\n", stderr), 2;
  ::unsetenv("WEIR_CHECK");
  const BackendKind backend = gate::backend_of(argv[1]);
  const std::size_t connections = std::strtoul(argv[2], nullptr, 10);
  if (!is_known_here()) gate::skip("this kernel cannot report system calls");

  ServerThread server;
  std::thread thread([&] { server.run(backend); });
  while (server.reports == -1) std::this_thread::yield();
  if (server.reports < 0) {
    thread.join();
    gate::skip("system calls may not be reported: " +
               std::system_category().message(-1 - server.reports));
  }
  const auto snapshots = count_calls(server, connections);
  thread.join();

  const auto messages = static_cast<double>(snapshots[1].messages - snapshots[0].messages);
  double all = 0;
  for (const auto& [call, count] : snapshots[1].counts) {
    const auto before = snapshots[0].counts.find(call);
    const std::size_t more = count - (before == snapshots[0].counts.end() ? 0 : before->second);
    if (more == 0) continue;
    const double each = static_cast<double>(more) / messages;
    std::printf("  %s: %.4f\n", name_of(call).c_str(), each);
    all += each;
  }
  return gate::within(
             "system calls a message, " + std::string(argv[1]) + ", " + argv[2] + " connections",
             all, bound(backend, connections))
             ? 0
             : 1;
}
