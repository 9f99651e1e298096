#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "backend.h"
#include "result.h"

// System calls on the ends of pipes.
namespace weir::inline v0::detail {

enum class PipeKind : std::uint8_t { pipe, socket, device };

/// Checks that `descriptor` is an open pipe, FIFO, socket or character device that can do what `end`
/// does, and makes it non-blocking: what Backend::adopt_pipe() promises.
Result<PipeKind> prepare_adopted_pipe(int descriptor, PipeEnd end) noexcept;

/// How a write to a pipe is kept from raising SIGPIPE: by a flag of the call, or by blocking the signal
/// for this thread, and for this call, where kernel or device does not know the flag.
enum class NoSignal : bool { by_flag, by_mask };

/// writev(), but a pipe that nobody reads gives EPIPE and no signal. [O5] May correct `how`.
ssize_t write_without_signal(int pipe, std::span<const iovec> vectors, NoSignal& how) noexcept;

}  // namespace weir::inline v0::detail
