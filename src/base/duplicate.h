#pragma once

#include "fd.h"

namespace weir::inline v0::detail {

/// Another descriptor of the same open file, which is not inherited. Throws std::system_error.
Fd duplicate_of(int descriptor);

}  // namespace weir::inline v0::detail
