#pragma once

#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/transport.h>

#include <cstdint>
#include <optional>
#include <stdexcept>

namespace weir::inline v0 {

struct SendfileOptions {
  /// Where in the file to begin, in bytes.
  std::uint64_t offset = 0;
  /// How many bytes to send at the most; unset: up to the end of the file. Not 0.
  std::optional<std::uint64_t> count{};
  /// Where the system cannot send the file by itself: read and write it. Otherwise the call fails with
  /// SendfileNotAvailableError.
  bool fallback = true;
};

/// The system cannot send this file to this socket by itself, and the fallback is not wanted. [K3]
class WEIR_API SendfileNotAvailableError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~SendfileNotAvailableError() override;
};

/// Sends the open file `file` over `transport`, after everything written to it before; gives how many
/// bytes were sent. Until it is done the transport does not read, write() throws WrongStateError, and a
/// write_eof() waits for the end of the file. pause_writing() and resume_writing() come once it is done,
/// if they are due then. [K1-K4]
///
/// The file goes from the system's cache straight into the socket if both are such that it can: a socket
/// of the system and a regular file. If not, it is read in blocks of 16 KiB by the default executor and
/// written as flow control allows; the future is then done when the last block is written, not sent.
///
/// The file stays the caller's, who may close it at once. Its position ends behind the last byte sent,
/// also on an error. Cancelling stops between two blocks.
///
/// Errors, through the future: std::invalid_argument for a count of 0, an offset that no file has, or a
/// descriptor that is not open for reading; WrongStateError for a transport that is closing, is a pipe,
/// has got write_eof(), or sends a file already; SendfileNotAvailableError; std::system_error, such as
/// connection_aborted when the transport closes meanwhile.
/// Threads: the loop's.
WEIR_API Future<std::uint64_t> sendfile(EventLoop& loop, const Transport& transport, int file,
                                        SendfileOptions options = {});

}  // namespace weir::inline v0
