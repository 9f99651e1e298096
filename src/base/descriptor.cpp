#include <weir/descriptor.h>

#include <unistd.h>

namespace weir::inline v0 {

void Descriptor::reset() noexcept {
  // Linux frees the number whatever close() answers, so there is nothing to retry or to report.
  if (number_ >= 0) static_cast<void>(::close(release()));
}

}  // namespace weir::inline v0
