#include "spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

#include "signals_blocked.h"
#include "spawn_child.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

// The thread sanitizer takes clone() for a fork() and releases its locks in the child, which here are the
// parent's; the C library's other name for it is left alone.
#if defined(__SANITIZE_THREAD__)
#define WEIR_CLONE __clone
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_CLONE __clone
#endif
#endif
#ifdef WEIR_CLONE
extern "C" int __clone(int (*)(void*), void*, int, void*, ...) noexcept;  // NOLINT(*-reserved-*)
#else
#define WEIR_CLONE ::clone
#endif

namespace weir::inline v0::detail {
namespace {

/// Far more than the child's few calls need, since it takes no signals.
constexpr std::size_t stack_size = std::size_t{16} * 1024;

constexpr std::string_view default_path = "/bin:/usr/bin";

std::atomic<bool> no_pidfd{false};

[[noreturn]] void throw_system_error(int error, const std::string& what) {
  throw std::system_error(error, std::system_category(), what);
}

/// Pointers to `strings`, and a null pointer.
std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) {
    // exec wants it so; it writes nothing.
    pointers.push_back(const_cast<char*>(string.c_str()));  // NOLINT(*-const-cast)
  }
  pointers.push_back(nullptr);
  return pointers;
}

const std::string& program_of(const SpawnPlan& plan) {
  return plan.executable.empty() ? plan.arguments.front() : plan.executable;
}

/// The PATH of the child to be.
std::string_view path_of(const SpawnPlan& plan) {
  constexpr std::string_view name = "PATH=";
  if (!plan.environment) {
    const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): as any use of it
    return path != nullptr ? path : default_path;
  }
  for (const std::string& entry : *plan.environment) {
    if (entry.starts_with(name)) return std::string_view(entry).substr(name.size());
  }
  return default_path;
}

/// The files that the program may be, in the order to try them.
std::vector<std::string> candidates_of(const SpawnPlan& plan) {
  const std::string& program = program_of(plan);
  if (program.empty() || program.find('/') != std::string::npos) return {program};
  std::vector<std::string> candidates;
  std::string_view path = path_of(plan);
  while (true) {
    const std::size_t end = path.find(':');
    const std::string_view directory = path.substr(0, end);
    // None means the working directory.
    candidates.push_back(directory.empty() ? program : std::string(directory) + '/' + program);
    if (end == std::string_view::npos) return candidates;
    path.remove_prefix(end + 1);
  }
}

std::string what_failed(const SpawnPlan& plan, const SpawnOrders& orders) {
  static constexpr std::array names{"stdin", "stdout", "stderr"};
  const auto number = static_cast<std::size_t>(orders.failed);
  switch (orders.step) {
    case SpawnStep::session: return "start a session";
    case SpawnStep::process_group:
      return "join process group " + std::to_string(orders.process_group);
    case SpawnStep::standard_stream:
      if (plan.streams.at(number) < 0) return "merge stderr with stdout";
      return std::string(names.at(number)) + " from descriptor " +
             std::to_string(plan.streams.at(number));
    case SpawnStep::directory: return "chdir to " + plan.directory;
    case SpawnStep::groups: return "set the supplementary groups";
    case SpawnStep::group: return "become group " + std::to_string(orders.group);
    case SpawnStep::user: return "become user " + std::to_string(orders.user);
    case SpawnStep::close: return "close the other descriptors";
    case SpawnStep::pass: return "pass descriptor " + std::to_string(orders.failed);
    case SpawnStep::none:
    case SpawnStep::exec: break;
  }
  return "exec " + program_of(plan);
}

/// A process whose memory was shared with one of other ids counts as not dumpable from then on, and so
/// does everything in its /proc. That is meant for the child alone.
class DumpableKept {
 public:
  DumpableKept() : lock_(mutex()), before_(::prctl(PR_GET_DUMPABLE)) {}
  DumpableKept(const DumpableKept&) = delete;
  DumpableKept& operator=(const DumpableKept&) = delete;
  ~DumpableKept() {
    if (before_ == 1) ::prctl(PR_SET_DUMPABLE, 1);
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one_at_a_time;
    return one_at_a_time;
  }

  std::lock_guard<std::mutex> lock_;
  int before_;
};

/// A plan in the form in which the child can read it.
class Prepared {
 public:
  explicit Prepared(const SpawnPlan& plan)
      : arguments_(pointers_to(plan.arguments)),
        files_(candidates_of(plan)),
        candidates_(pointers_to(files_)),
        passed_(plan.pass) {
    if (plan.environment) environment_ = pointers_to(*plan.environment);
    std::erase_if(passed_, [](int number) { return number <= STDERR_FILENO; });
    if (plan.groups) groups_ = *plan.groups;

    orders.arguments = arguments_.data();
    orders.environment = plan.environment ? environment_.data() : environ;
    orders.candidates = candidates_.data();
    if (!plan.directory.empty()) orders.directory = plan.directory.c_str();
    std::ranges::copy(plan.streams, orders.streams);
    orders.merge_error = plan.merge_error;
    orders.close_others = plan.close_others;
    orders.passed = passed_.data();
    orders.passed_count = passed_.size();
    orders.new_session = plan.new_session;
    orders.process_group = plan.process_group.value_or(-1);
    orders.restore_signals = plan.restore_signals;
    orders.user = plan.user.value_or(same_id);
    orders.group = plan.group.value_or(same_id);
    orders.set_groups = plan.groups.has_value();
    orders.groups = groups_.data();
    orders.group_count = groups_.size();
  }

  SpawnOrders orders;

 private:
  std::vector<char*> arguments_;
  std::vector<char*> environment_;
  std::vector<std::string> files_;
  std::vector<char*> candidates_;
  std::vector<int> passed_;
  std::vector<std::uint32_t> groups_;
};

/// Returns when the child has its own program, or failed.
Spawned start(SpawnOrders& orders) {
  alignas(64) std::byte stack[stack_size];  // NOLINT(*-member-init): the child's
  const SignalsBlocked blocked;
  orders.signal_mask = &blocked.before();
  const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  int pidfd = -1;
  int pid = -1;
  if (!no_pidfd.load(std::memory_order_relaxed)) {
    pid = WEIR_CLONE(run_child, stack + stack_size, flags | CLONE_PIDFD, &orders, &pidfd);
  }
  if (pid < 0 && (no_pidfd.load(std::memory_order_relaxed) || errno == EINVAL)) {
    pid = WEIR_CLONE(run_child, stack + stack_size, flags, &orders);
  }
  if (pid < 0) throw_system_error(errno, "start a process");
  return {pid, Fd(pidfd)};
}

void reap(int pid) noexcept {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0 && errno == EINTR) {
  }
}

}  // namespace

Spawned spawn(const SpawnPlan& plan) {
  Prepared prepared(plan);
  SpawnOrders& orders = prepared.orders;
  std::optional<DumpableKept> dumpable;
  if (plan.user || plan.group || plan.groups) dumpable.emplace();
  Spawned spawned = start(orders);
  if (orders.step == SpawnStep::none) return spawned;
  reap(spawned.pid);
  throw_system_error(orders.error, what_failed(plan, orders));
}

NewPipe open_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_system_error(errno, "open a pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd open_null_device() {
  Fd device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!device) throw_system_error(errno, "open /dev/null");
  return device;
}

bool is_open(int descriptor) noexcept { return ::fcntl(descriptor, F_GETFD) >= 0; }

void pretend_no_pidfd(bool pretend) noexcept { no_pidfd.store(pretend, std::memory_order_relaxed); }

}  // namespace weir::inline v0::detail
