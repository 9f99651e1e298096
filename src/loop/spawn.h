#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fd.h"

// Starting a child process: one way, for all parents.
//
// The child is born in its parent's memory (CLONE_VM | CLONE_VFORK), on a stack of its own, so that its
// cost does not grow with the parent; it gets its own program before the parent's thread goes on. Until
// then all signals are blocked, and it does nothing but the system calls of spawn_child.h.
namespace weir::inline v0::detail {

struct SpawnPlan {
  std::vector<std::string> arguments;  ///< at least one; none of these strings contains a NUL
  std::string executable{};            ///< empty: the first argument
  std::string directory{};             ///< empty: the parent's
  std::optional<std::vector<std::string>> environment{};  ///< unset: the parent's
  std::array<int, 3> streams{-1, -1, -1};  ///< what becomes 0, 1, 2; -1: the parent's own
  bool merge_error = false;                ///< 2 is to be the same as 1
  std::vector<int> pass{};                 ///< descriptors that keep their numbers
  bool close_others = true;
  bool new_session = false;
  std::optional<int> process_group{};
  bool restore_signals = true;
  std::optional<std::uint32_t> user{};
  std::optional<std::uint32_t> group{};
  std::optional<std::vector<std::uint32_t>> groups{};
};

/// A child that runs its program, and whom somebody must reap.
struct Spawned {
  int pid = -1;
  Fd pidfd{};  ///< none if the kernel has no such thing
};

/// Starts a child. Throws std::system_error that names what failed, of the child's part too: "exec
/// no-such-program", "chdir to /nope"; nothing is left of it then. [P3]
///
/// Threads: any, also at once.
Spawned spawn(const SpawnPlan& plan);

/// Both ends of a new pipe. Throws std::system_error.
struct NewPipe {
  Fd read_end;
  Fd write_end;
};
NewPipe open_pipe();

/// Reads nothing, and swallows what is written. Throws std::system_error.
Fd open_null_device();

/// True if `descriptor` is open. If it is not, a number that is to become a child's may soon be one of ours.
bool is_open(int descriptor) noexcept;

/// For tests: from now on, or no longer, as if the kernel had no pidfd.
void pretend_no_pidfd(bool pretend) noexcept;

}  // namespace weir::inline v0::detail
