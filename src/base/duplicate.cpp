#include "duplicate.h"

#include <fcntl.h>

#include <cerrno>
#include <system_error>

namespace weir::inline v0::detail {

Fd duplicate_of(int descriptor) {
  Fd duplicate(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!duplicate) throw std::system_error(errno, std::system_category(), "fcntl(F_DUPFD_CLOEXEC)");
  return duplicate;
}

}  // namespace weir::inline v0::detail
