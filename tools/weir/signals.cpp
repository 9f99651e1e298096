#include "signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace weir_tool {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopSignals::StopSignals(weir::EventLoop& loop) : loop_(loop) {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

StopSignals::~StopSignals() {
  loop_.remove_reader(descriptor_);
  close(descriptor_);
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignals::on_signal(std::function<void()> callback) {
  loop_.add_reader(descriptor_, [descriptor = descriptor_, callback = std::move(callback)] {
    signalfd_siginfo signal{};
    if (read(descriptor, &signal, sizeof signal) == sizeof signal) callback();
  });
}

}  // namespace weir_tool
