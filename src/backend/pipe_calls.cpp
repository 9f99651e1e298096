#include "pipe_calls.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "pipe_signal.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

/// RWF_NOSIGNAL of Linux 6.18: no SIGPIPE for this one write.
constexpr int no_signal = 0x00000100;

Result<PipeKind> kind_of(int descriptor) noexcept {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return last_system_error();
  if (S_ISFIFO(status.st_mode)) return PipeKind::pipe;
  if (S_ISSOCK(status.st_mode)) return PipeKind::socket;
  if (S_ISCHR(status.st_mode)) return PipeKind::device;
  return std::make_error_code(std::errc::invalid_argument);
}

}  // namespace

Result<PipeKind> prepare_adopted_pipe(int descriptor, PipeEnd end) noexcept {
  const Result<PipeKind> kind = kind_of(descriptor);
  if (!kind) return kind.error();
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0) return last_system_error();
  const int other_direction = end == PipeEnd::read ? O_WRONLY : O_RDONLY;
  if ((flags & O_ACCMODE) == other_direction || (flags & O_PATH) != 0) {
    return std::make_error_code(std::errc::operation_not_permitted);
  }
  if (::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) return last_system_error();
  return kind;
}

ssize_t write_without_signal(int pipe, std::span<const iovec> vectors, NoSignal& how) noexcept {
  if (how == NoSignal::by_flag) {
    const ssize_t count =
        ::pwritev2(pipe, vectors.data(), static_cast<int>(vectors.size()), -1, no_signal);
    // An older kernel does not know the flag; some devices take none at all.
    if (count >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)) return count;
    how = NoSignal::by_mask;
  }
  return without_pipe_signal(
      [&] { return ::writev(pipe, vectors.data(), static_cast<int>(vectors.size())); });
}

}  // namespace weir::inline v0::detail
