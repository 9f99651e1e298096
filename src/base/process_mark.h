#pragma once

#include <sys/types.h>

namespace weir::inline v0::detail {

/// Knows, without a system call, whether this is the process that made it or a forked copy of that.
class ProcessMark {
 public:
  /// Throws std::bad_alloc.
  ProcessMark();
  ProcessMark(const ProcessMark&) = delete;
  ProcessMark& operator=(const ProcessMark&) = delete;
  ~ProcessMark();

  bool is_here() const noexcept;

 private:
  volatile unsigned char* page_;  ///< of zeros in a copy, if `process_` is 0
  pid_t process_ = 0;             ///< else this is compared
};

}  // namespace weir::inline v0::detail
