#pragma once

#include <cstddef>
#include <cstdint>

// What a child does between its birth and its program. It runs in its parent's memory, while the thread
// that started it waits and all others go on: it must not allocate, lock, throw, or call into the C
// library beyond syscall(). So everything it needs is made before, in plain arrays.
namespace weir::inline v0::detail {

/// What a child was doing when it failed.
enum class SpawnStep : std::uint8_t {
  none,
  session,
  process_group,
  standard_stream,  ///< of number SpawnOrders::failed
  directory,
  groups,
  group,
  user,
  close,
  pass,  ///< descriptor SpawnOrders::failed
  exec,
};

/// Leaves an id as it is.
inline constexpr std::uint32_t same_id = UINT32_MAX;

struct SpawnOrders {
  char* const* arguments = nullptr;  ///< ends with a null pointer, like the two that follow
  char* const* environment = nullptr;
  const char* const* candidates = nullptr;  ///< the files to try, in order
  const char* directory = nullptr;          ///< to work in; null for the parent's
  int streams[3] = {-1, -1, -1};            ///< what becomes 0, 1 and 2; -1 leaves it as it is
  bool merge_error = false;                 ///< 2 is to be the same as 1
  bool close_others = true;
  const int* passed = nullptr;  ///< keep their numbers, from 3 on
  std::size_t passed_count = 0;
  bool new_session = false;
  int process_group = -1;  ///< negative: the parent's
  bool restore_signals = true;
  std::uint32_t user = same_id;
  std::uint32_t group = same_id;
  bool set_groups = false;
  const std::uint32_t* groups = nullptr;
  std::size_t group_count = 0;
  const void* signal_mask = nullptr;  ///< the kernel's form of it

  // The answer, if it failed.
  int error = 0;
  SpawnStep step = SpawnStep::none;
  int failed = -1;
};

/// Executes `orders`, a SpawnOrders; returns only if something failed, having said what in there. To be
/// run by clone().
int run_child(void* orders) noexcept;

}  // namespace weir::inline v0::detail
