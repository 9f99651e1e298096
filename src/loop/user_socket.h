#pragma once

#include "backend.h"

namespace weir::inline v0::detail {

class Loop;

/// The calls for `socket`, if it can be used with `loop`. Throws WrongStateError if the loop is closed or
/// a transport owns the socket, UnsupportedOperationError if the loop is simulated,
/// std::invalid_argument for a negative number, and, in debug mode, for a blocking socket. [K6, K9, L25]
UserSockets& usable_socket(Loop& loop, int socket);

}  // namespace weir::inline v0::detail
