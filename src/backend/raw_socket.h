#pragma once

#include "backend.h"

namespace weir::inline v0::detail {

/// The sockets of this system, for the backends over it.
UserSockets& system_sockets() noexcept;

}  // namespace weir::inline v0::detail
