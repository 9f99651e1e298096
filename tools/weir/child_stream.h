// A command as a stream: what it reads is written, what it prints is received.
#pragma once

#include <weir/weir.h>
#include <memory>
#include <string>

#include "stream.h"

namespace weir_tool {

/// Told in the words of a stream protocol what happens to a command.
///
/// The end of its output is the end of the stream; connection_lost() comes once it has exited, with a
/// RunError if it failed. Its standard error is this program's.
class ChildStream;

weir::Future<weir::Subprocess<ChildStream>> start_command(weir::EventLoop& loop,
                                                          const std::string& command,
                                                          std::shared_ptr<StreamProtocol> protocol);

}  // namespace weir_tool
