#pragma once

#include <pthread.h>

#include <csignal>

namespace weir::inline v0::detail {

/// While it lives, this thread takes no signals, nor do those it starts: a signal of the process is
/// for the threads of its author.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /// What was blocked before.
  const sigset_t& before() const noexcept { return before_; }

 private:
  sigset_t before_{};
};

}  // namespace weir::inline v0::detail
