// The yardstick for spawning: posix_spawn, a pidfd in an epoll, waitid. Nothing is redirected.

#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "spawn_meter.h"

extern char** environ;

namespace {

int spawn() {
  std::string program = bench::child_program;
  std::array<char*, 2> arguments{program.data(), nullptr};
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.data(), nullptr, nullptr, arguments.data(), environ);
  if (error != 0) bench::spawn_failed("posix_spawn", std::strerror(error));
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) bench::spawn_failed("pidfd_open", std::strerror(errno));
  return pidfd;
}

}  // namespace

int main(int argc, char** argv) {
  bench::SpawnMeter meter(argc, argv);
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  while (meter.again()) {
    const int pidfd = spawn();
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pidfd, &event) != 0) {
      bench::spawn_failed("epoll_ctl", std::strerror(errno));
    }
    while (::epoll_wait(epoll_fd, &event, 1, -1) != 1) {
    }
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0) {
      bench::spawn_failed("waitid", std::strerror(errno));
    }
    bench::SpawnMeter::check(info.si_status);
    ::close(pidfd);
  }
  meter.report();
}
