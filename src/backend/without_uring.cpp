#include <cerrno>
#include <system_error>

#include "backend.h"

namespace weir::inline v0::detail {

std::unique_ptr<Backend> make_uring_backend(UringWish) {
  throw std::system_error(ENOSYS, std::system_category(),
                          "there is no io_uring here: this build is without it, see WEIR_URING");
}

}  // namespace weir::inline v0::detail
