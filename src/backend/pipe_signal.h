#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cerrno>
#include <ctime>

namespace weir::inline v0::detail {

inline bool pipe_signal_pending() noexcept {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGPIPE) == 1;
}

/// Makes a system call, which sends and knows no flag against SIGPIPE, without raising it. [O5]
///
/// Blocks SIGPIPE for this thread and consumes the one that the call raises: a broken pipe signals the
/// thread that writes, so nobody else's is taken unless one was pending already.
template <class Call>
ssize_t without_pipe_signal(Call call) noexcept {
  sigset_t pipe_signal;
  sigset_t before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  const bool was_pending = pipe_signal_pending();
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before); error != 0) {
    errno = error;
    return -1;
  }
  const ssize_t count = call();
  const int error = errno;
  // Also after a call that has sent something: sendfile() may find its reader gone behind that.
  if (!was_pending) {
    const timespec at_once{};
    while (::sigtimedwait(&pipe_signal, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  static_cast<void>(::pthread_sigmask(SIG_SETMASK, &before, nullptr));
  errno = error;
  return count;
}

}  // namespace weir::inline v0::detail
