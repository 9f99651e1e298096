#include "children.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "log_record.h"
#include "signals_blocked.h"

namespace weir::inline v0::detail {
namespace {

/// What is told of a child that somebody else has reaped. [P12]
constexpr int unknown_returncode = 255;

constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD, which older headers lack

/// waitid(), until nothing interrupts it. Returns 0 or the error.
int wait_for(idtype_t kind, int which, int options, siginfo_t& info) noexcept {
  while (::waitid(kind, static_cast<id_t>(which), &info, options) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/// For a child that cannot be killed: it became another user's.
void reap_some_day(int pid) noexcept {
  try {
    const SignalsBlocked blocked;
    std::thread([pid] {
      siginfo_t info{};
      wait_for(P_PID, pid, WEXITED, info);
    }).detach();
  } catch (const std::system_error&) {  // NOLINT(*-empty-catch)
    // No thread to be had: it stays a zombie until this process ends.
  }
}

}  // namespace

Child::Child(Loop& loop, Spawned spawned, ChildEvents& events)
    : loop_(loop),
      events_(events),
      name_(loop.slots().acquire(this)),
      status_(std::make_shared<ProcessStatus>()),
      pidfd_(std::move(spawned.pidfd)) {
  status_->pid = spawned.pid;
}

Child::~Child() {
  loop_.slots().release(*name_.slot);
  if (exited() || !is_ours()) return;
  if (send_signal(SIGKILL)) {
    reap_some_day(status_->pid);
  } else {
    reap(Wait::until_exit);
  }
}

bool Child::is_ours() const noexcept {
  siginfo_t info{};
  return wait_for(P_PID, status_->pid, WEXITED | WNOHANG | WNOWAIT, info) == 0;
}

void Child::start_waiting() {
  if (pidfd_) {
    watch_ = loop_.backend().watch(pidfd_.get(), *this);
    if (!watch_->want(true, false)) return;
    watch_.reset();  // the first kernels that had them could not wait for them
  }
  start_waiting_thread();
}

/// It does not reap, for the number must stay the child's as long as it may be signalled. [O4]
void Child::start_waiting_thread() {
  const SignalsBlocked blocked;
  std::thread([pid = status_->pid, box = loop_.post_box(), name = name_] {
    siginfo_t info{};
    wait_for(P_PID, pid, WEXITED | WNOWAIT, info);
    box->post([name] {
      if (auto* child = name.get<Child>()) child->exit_noticed();
    });
  }).detach();
}

void Child::exit_noticed() noexcept {
  reap(Wait::no);
  if (!exited()) return;
  watch_.reset();
  pidfd_.reset();
  events_.on_exited();
}

void Child::reap(Wait wait) noexcept {
  const int options = wait == Wait::no ? WEXITED | WNOHANG : WEXITED;
  siginfo_t info{};
  int error = pidfd_ ? wait_for(by_pidfd, pidfd_.get(), options, info) : EINVAL;
  if (error == EINVAL) error = wait_for(P_PID, status_->pid, options, info);
  if (error != 0) {
    log_record(LogLevel::warning, "child process " + std::to_string(status_->pid) +
                                      " was reaped by somebody else: will report returncode " +
                                      std::to_string(unknown_returncode));
    status_->returncode = unknown_returncode;
  } else if (info.si_pid != 0) {
    status_->returncode = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  }
}

std::error_code Child::send_signal(int signal) noexcept {
  if (exited()) return {};
  const auto pidfd_send_signal = [&] {
    return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0;
  };
  if (pidfd_ && pidfd_send_signal()) return {};
  if (!pidfd_ || errno == ENOSYS) {
    // As long as it is not reaped the number is its own.
    if (!is_ours() || ::kill(status_->pid, signal) == 0) return {};
  }
  // Gone, but not by us: its end is about to be told.
  if (errno == ESRCH) return {};
  return {errno, std::system_category()};
}

}  // namespace weir::inline v0::detail
