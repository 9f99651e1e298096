// Files as pipes: a file cannot be polled, and a slow disk would stop a loop.
#pragma once

#include <weir/weir.h>
#include <memory>
#include <system_error>
#include <thread>

namespace weir_tool {

/// Copies from one descriptor to another on a thread of its own, to the end or an error; then closes
/// both. One of them is a pipe whose other end belongs to a transport.
class FilePump {
 public:
  FilePump(weir::Descriptor from, weir::Descriptor to);
  FilePump(const FilePump&) = delete;
  FilePump& operator=(const FilePump&) = delete;
  /// Leaves a thread that is not done to end with its pipe, or with the program.
  ~FilePump();

  /// Waits for its end, which is near once the transport's end of the pipe is closed or at its end.
  /// What went wrong with the file; nothing if the transport wanted no more.
  std::error_code finish();

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace weir_tool
