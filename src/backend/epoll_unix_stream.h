#pragma once

#include <memory>

#include "epoll_backend.h"
#include "fd.h"

namespace weir::inline v0::detail {

/// The channel of a connected Unix stream socket that is not blocking.
std::unique_ptr<StreamChannel> make_unix_channel(EpollBackend& backend, Fd socket);

}  // namespace weir::inline v0::detail
