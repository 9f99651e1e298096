#include "signals.h"

#include <weir/error.h>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "fd.h"
#include "loop.h"

namespace weir::inline v0::detail {
namespace {

/// What the process has one of. The system's handler sees the atomics only; the lock is for everybody
/// else, is never held while a user's code runs, and is taken around fork().
struct Process {
  std::mutex mutex;
  const Signals* owner = nullptr;
  std::array<bool, NSIG> installed{};  ///< signals whose disposition is ours

  std::atomic<int> pipe{-1};
  std::atomic<int> pid{0};  ///< whose pipe it is: a child that shares our memory has our handlers
  std::atomic<int> writers{0};  ///< handlers that may be using `pipe`
  /// Signals whose number is in the pipe: so it never fills, and no number is lost.
  std::array<std::atomic<bool>, NSIG> noted{};

  void open_pipe(const Signals& signals, int write_end) noexcept;
  void close_pipe() noexcept;
  bool install(int signal) noexcept;
  void give_back(int signal) noexcept;
  void forget_parent() noexcept;
};

constinit Process process;

/// Runs in whichever thread the signal interrupts, at any instruction. [L33]
void note_signal(int signal) noexcept {
  const int before = errno;
  ++process.writers;
  const int pipe = process.pipe;
  if (pipe >= 0 && process.pid == ::getpid() &&
      !process.noted[static_cast<std::size_t>(signal)].exchange(true)) {
    const auto number = static_cast<unsigned char>(signal);
    // It has room for every number there is, and the loop holds its other end.
    static_cast<void>(::write(pipe, &number, 1));
  }
  --process.writers;
  errno = before;
}

void Process::open_pipe(const Signals& signals, int write_end) noexcept {
  owner = &signals;
  for (auto& one : noted) one = false;
  pid = ::getpid();
  pipe = write_end;
}

void Process::close_pipe() noexcept {
  pipe = -1;
  // The number of the pipe may be another file's the moment it is closed.
  while (writers != 0) std::this_thread::yield();
  owner = nullptr;
}

bool Process::install(int signal) noexcept {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  if (::sigaction(signal, &action, nullptr) != 0) return false;
  installed[static_cast<std::size_t>(signal)] = true;
  return true;
}

void Process::give_back(int signal) noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  installed[static_cast<std::size_t>(signal)] = false;
}

/// In a forked child, which has no use for its parent's loop. [O6]
void Process::forget_parent() noexcept {
  pipe = -1;
  writers = 0;
  owner = nullptr;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (installed[static_cast<std::size_t>(signal)]) give_back(signal);
  }
}

/// Without memory for it, a child that is forked goes on ignoring what its parent handles.
void follow_forks() {
  static const int registered = ::pthread_atfork([] { process.mutex.lock(); },    //
                                                 [] { process.mutex.unlock(); },  //
                                                 [] {
                                                   process.forget_parent();
                                                   process.mutex.unlock();
                                                 });
  static_cast<void>(registered);
}

std::string number_of(int signal) { return "signal " + std::to_string(signal); }

void require_signal(int signal) {
  if (signal < 1 || signal >= NSIG) {
    throw std::invalid_argument(number_of(signal) + " does not exist: they are 1 to " +
                                std::to_string(NSIG - 1));
  }
}

}  // namespace

struct Signals::Handler {
  Callback callback;
  std::shared_ptr<Context> context;
  bool removed = false;
};

class Signals::Pipe {
 public:
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::system_category(), "pipe2");
    }
    read_end = Fd(ends[0]);
    write_end = Fd(ends[1]);
  }

  Fd read_end;
  Fd write_end;
};

Signals::Signals(Loop& loop) noexcept : loop_(loop) {}

Signals::~Signals() { clear(); }

void Signals::add(int signal, Callback callback) {
  require_signal(signal);
  if (!callback) throw std::invalid_argument("the callback of a signal is empty");
  if (signal == SIGKILL || signal == SIGSTOP) {
    throw WrongStateError(number_of(signal) + " cannot be handled by any process");
  }
  open();
  auto handler = std::make_shared<Handler>(std::move(callback), loop_.current_context());
  {
    const std::unique_lock lock(process.mutex);
    if (process.install(signal)) {
      auto& current = handlers_[signal];
      if (current != nullptr) current->removed = true;
      current.swap(handler);
      return;
    }
  }
  close_if_unused();
  throw std::invalid_argument(number_of(signal) + " is kept by the system for itself");
}

void Signals::open() {
  if (pipe_ != nullptr) return;
  auto pipe = std::make_unique<Pipe>();
  auto watch = loop_.backend().watch(pipe->read_end.get(), *this);
  if (const std::error_code error = watch->want(true, false)) {
    if (error == std::errc::operation_not_supported) {
      throw UnsupportedOperationError(
          "a simulated loop handles no signals: they are the system's, and may come at any time");
    }
    throw std::system_error(error, "the signals' pipe cannot be watched");
  }
  follow_forks();
  const std::lock_guard lock(process.mutex);
  if (process.owner != nullptr) {
    throw WrongStateError(
        "another loop handles this process's signals, which have one owner at a time: remove its "
        "handlers, or close it, first");
  }
  process.open_pipe(*this, pipe->write_end.get());
  pipe_ = std::move(pipe);
  watch_ = std::move(watch);
}

bool Signals::remove(int signal) {
  require_signal(signal);
  const auto found = handlers_.find(signal);
  if (found == handlers_.end()) return false;
  const auto removed = std::move(found->second);  // destroyed last: it may hold anything
  removed->removed = true;
  handlers_.erase(found);
  give_back(signal);
  close_if_unused();
  return true;
}

void Signals::clear() noexcept {
  const auto removed = std::exchange(handlers_, {});
  for (const auto& [signal, handler] : removed) {
    handler->removed = true;
    give_back(signal);
  }
  close_if_unused();
}

void Signals::give_back(int signal) noexcept {
  const std::lock_guard lock(process.mutex);
  if (process.owner == this) process.give_back(signal);
}

void Signals::close_if_unused() noexcept {
  if (pipe_ == nullptr || !handlers_.empty()) return;
  {
    const std::lock_guard lock(process.mutex);
    if (process.owner == this) process.close_pipe();
  }
  watch_.reset();
  pipe_.reset();
}

void Signals::on_readable() noexcept {
  std::array<unsigned char, NSIG> numbers{};
  const ssize_t count = ::read(pipe_->read_end.get(), numbers.data(), numbers.size());
  for (ssize_t i = 0; i < count; ++i) {
    const unsigned char number = numbers[static_cast<std::size_t>(i)];
    process.noted[number] = false;
    const auto found = handlers_.find(number);
    if (found == handlers_.end()) continue;
    loop_.schedule(
        [handler = found->second] {
          if (!handler->removed) handler->callback();
        },
        found->second->context);
  }
}

}  // namespace weir::inline v0::detail
