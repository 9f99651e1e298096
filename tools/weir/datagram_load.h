// The load generator for datagrams: numbered ones, each answered, late or lost.
#pragma once

#include <weir/weir.h>
#include <cstddef>

#include "load.h"

namespace weir_tool {

/// A datagram carries its number, and no more than fits into one of IPv4.
constexpr std::size_t least_datagram_bytes = 8;
constexpr std::size_t most_datagram_bytes = 65507;

/// As run_load(), over UDP: one socket for each connection, and `pipeline` datagrams without an answer
/// on each. One that is not answered in time is lost and another one takes its place, so that in the end
/// as many were sent as were received or lost.
LoadResult run_datagram_load(weir::EventLoop& loop, const LoadOptions& options,
                             const LoadProgress& progress);

}  // namespace weir_tool
