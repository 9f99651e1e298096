#pragma once

#include <memory>

#include "backend.h"
#include "fd.h"

namespace weir::inline v0::detail {

class UringBackend;

/// The channel of a connected stream socket that is not blocking.
std::unique_ptr<StreamChannel> make_uring_stream(UringBackend& backend, Fd socket,
                                                 AddressFamily family);

}  // namespace weir::inline v0::detail
