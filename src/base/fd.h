#pragma once

#include <weir/descriptor.h>

namespace weir::inline v0::detail {

/// A file descriptor with one owner: the short name by which the library speaks of it.
using Fd = Descriptor;

}  // namespace weir::inline v0::detail
