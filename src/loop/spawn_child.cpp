#include "spawn_child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

// A sanitizer's bookkeeping is the parent's, and must not hear of what the child does: hence neither
// instrumented code nor calls that are intercepted, nor templates, which are instrumented elsewhere.
#if defined(__clang__)
#define WEIR_UNINSTRUMENTED \
  __attribute__((disable_sanitizer_instrumentation, no_sanitize("undefined")))
#else
#define WEIR_UNINSTRUMENTED __attribute__((no_sanitize("address,undefined,thread")))
#endif

// Where the first calls of these names have 16-bit ids.
#ifdef SYS_setgroups32
#define WEIR_SYS_SETGROUPS SYS_setgroups32
#define WEIR_SYS_SETRESGID SYS_setresgid32
#define WEIR_SYS_SETRESUID SYS_setresuid32
#else
#define WEIR_SYS_SETGROUPS SYS_setgroups
#define WEIR_SYS_SETRESGID SYS_setresgid
#define WEIR_SYS_SETRESUID SYS_setresuid
#endif

namespace weir::inline v0::detail {
namespace {

constexpr int first_other = 3;
constexpr int signal_count = 64;
constexpr std::size_t kernel_mask_size = 8;

WEIR_UNINSTRUMENTED bool failed(SpawnOrders& orders, SpawnStep step, int number = -1) noexcept {
  orders.error = errno;
  orders.step = step;
  orders.failed = number;
  return false;
}

/// Its handlers are code of the parent's, so none may run from here on. Ignored signals stay ignored.
WEIR_UNINSTRUMENTED void reset_signals(const SpawnOrders& orders) noexcept {
  // The kernel's struct sigaction, of which only the first word is of interest: the handler, but on MIPS.
  unsigned long action[8];
  for (int signal = 1; signal <= signal_count; ++signal) {
    if (::syscall(SYS_rt_sigaction, signal, nullptr, action, kernel_mask_size) != 0) continue;
    const bool ignored = action[0] == reinterpret_cast<unsigned long>(SIG_IGN);
    const bool restored = orders.restore_signals && (signal == SIGPIPE || signal == SIGXFSZ);
    if (action[0] == reinterpret_cast<unsigned long>(SIG_DFL) || (ignored && !restored)) continue;
    for (unsigned long& word : action) word = 0;
    ::syscall(SYS_rt_sigaction, signal, action, nullptr, kernel_mask_size);
  }
}

WEIR_UNINSTRUMENTED bool join_groups(SpawnOrders& orders) noexcept {
  if (orders.new_session && ::syscall(SYS_setsid) < 0) return failed(orders, SpawnStep::session);
  if (orders.process_group >= 0 && ::syscall(SYS_setpgid, 0, orders.process_group) < 0) {
    return failed(orders, SpawnStep::process_group);
  }
  return true;
}

/// Makes `from` the descriptor `to`, and has it survive the exec.
WEIR_UNINSTRUMENTED bool install(int from, int to) noexcept {
  if (from == to) return ::syscall(SYS_fcntl, to, F_SETFD, 0) == 0;
  return ::syscall(SYS_dup3, from, to, 0) == to;
}

/// One of ours may have the number of a standard stream that is closed; then it is not inherited.
WEIR_UNINSTRUMENTED bool is_inherited(int number) noexcept {
  const long flags = ::syscall(SYS_fcntl, number, F_GETFD);
  if (flags >= 0 && (flags & FD_CLOEXEC) == 0) return true;
  errno = EBADF;
  return false;
}

/// First everything out of the way of 0, 1 and 2, for there one may stand where another is to go.
WEIR_UNINSTRUMENTED bool install_streams(SpawnOrders& orders) noexcept {
  for (int i = 0; i < first_other; ++i) {
    int& from = orders.streams[i];
    if (from < 0 || from >= first_other || from == i) continue;
    from = static_cast<int>(::syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, first_other));
    if (from < 0) return failed(orders, SpawnStep::standard_stream, i);
  }
  for (int i = 0; i < first_other; ++i) {
    const int from = orders.streams[i];
    if (from >= 0 && !install(from, i)) return failed(orders, SpawnStep::standard_stream, i);
  }
  if (!orders.merge_error) return true;
  const bool there = orders.streams[STDOUT_FILENO] >= 0 || is_inherited(STDOUT_FILENO);
  if (there && install(STDOUT_FILENO, STDERR_FILENO)) return true;
  return failed(orders, SpawnStep::standard_stream, STDERR_FILENO);
}

/// In this order, since the first two need what the last one may give up.
WEIR_UNINSTRUMENTED bool change_ids(SpawnOrders& orders) noexcept {
  // Not by the C library, which would have all threads of the process change theirs.
  if (orders.set_groups && ::syscall(WEIR_SYS_SETGROUPS, orders.group_count, orders.groups) < 0) {
    return failed(orders, SpawnStep::groups);
  }
  if (orders.group != same_id &&
      ::syscall(WEIR_SYS_SETRESGID, orders.group, orders.group, orders.group) < 0) {
    return failed(orders, SpawnStep::group);
  }
  if (orders.user != same_id &&
      ::syscall(WEIR_SYS_SETRESUID, orders.user, orders.user, orders.user) < 0) {
    return failed(orders, SpawnStep::user);
  }
  return true;
}

/// The number in `name`, -1 if it is none.
WEIR_UNINSTRUMENTED int number_in(const char* name) noexcept {
  int number = 0;
  if (*name == '\0') return -1;
  for (; *name != '\0'; ++name) {
    if (*name < '0' || *name > '9') return -1;
    number = number * 10 + (*name - '0');
  }
  return number;
}

/// What close_range() does, where the kernel has none.
WEIR_UNINSTRUMENTED bool mark_each_open() noexcept {
  struct Entry {  // the kernel's struct linux_dirent64
    std::uint64_t inode;
    std::int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[1];
  };
  alignas(Entry) char entries[1024];
  const long directory =
      ::syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return false;
  long size = 0;
  while ((size = ::syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const Entry*>(entries + at);
      at += entry->length;
      const int number = number_in(entry->name);
      if (number >= first_other) ::syscall(SYS_fcntl, number, F_SETFD, FD_CLOEXEC);
    }
  }
  return size == 0;
}

/// Nobody else's descriptors survive the exec; those passed do. [P19]
WEIR_UNINSTRUMENTED bool keep_only_passed(SpawnOrders& orders) noexcept {
  if (orders.close_others &&
      ::syscall(SYS_close_range, first_other, ~0U, CLOSE_RANGE_CLOEXEC) < 0 && !mark_each_open()) {
    return failed(orders, SpawnStep::close);
  }
  for (std::size_t i = 0; i < orders.passed_count; ++i) {
    if (!install(orders.passed[i], orders.passed[i])) {
      return failed(orders, SpawnStep::pass, orders.passed[i]);
    }
  }
  return true;
}

/// As execvpe() does: a file that may not be executed counts only if no other is found.
WEIR_UNINSTRUMENTED bool execute(SpawnOrders& orders) noexcept {
  bool forbidden = false;
  for (const char* const* file = orders.candidates; *file != nullptr; ++file) {
    ::syscall(SYS_execve, *file, orders.arguments, orders.environment);
    switch (errno) {
      case EACCES: forbidden = true; break;
      case ENOENT:
      case ENOTDIR:
      case ESTALE:
      case ENODEV:
      case ETIMEDOUT: break;
      default: return failed(orders, SpawnStep::exec);
    }
  }
  if (forbidden) errno = EACCES;
  return failed(orders, SpawnStep::exec);
}

WEIR_UNINSTRUMENTED bool obey(SpawnOrders& orders) noexcept {
  reset_signals(orders);
  if (!join_groups(orders) || !install_streams(orders)) return false;
  if (orders.directory != nullptr && ::syscall(SYS_chdir, orders.directory) < 0) {
    return failed(orders, SpawnStep::directory);
  }
  if (!change_ids(orders) || !keep_only_passed(orders)) return false;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, orders.signal_mask, nullptr, kernel_mask_size);
  return execute(orders);
}

}  // namespace

WEIR_UNINSTRUMENTED int run_child(void* orders) noexcept {
  obey(*static_cast<SpawnOrders*>(orders));
  ::syscall(SYS_exit_group, 127);
  return 127;
}

}  // namespace weir::inline v0::detail
